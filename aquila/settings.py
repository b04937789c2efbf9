"""What the environment says, read when a Client or the jobs are configured. An empty variable counts as unset."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from aquila.errors import ConfigError

DEFAULT_MODEL = "gpt-4o-mini"
DEFAULT_BASE_URL = "https://api.openai.com/v1"
ENDPOINTS = ("auto", "chat", "responses")
CASSETTE_MODES = ("off", "none", "once", "new_episodes", "all", "rewrite")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The environment's word on everything a call may leave out."""

    api_key: str | None
    base_url: str
    model: str
    endpoint: str
    #: None: nobody chose, so it is `none` in tests and `off` elsewhere.
    cassettes: str | None
    cassette_dir: Path
    #: How fast cassettes replay: 0 without waiting, 1 in the recorded time; None: nobody chose, so it is 0.
    cassette_speed: float | None
    #: The folder with the nearest pyproject.toml or .git.
    project_dir: Path
    state_dir: Path
    #: A GGUF file to serve instead of the installed one; None for the installed one.
    local_model: Path | None
    #: True in a test run or in CI.
    testing: bool


def read_settings(environ: Mapping[str, str] | None = None, *, cwd: Path | None = None) -> Settings:
    """Read the environment.

    Args:
        environ: The variables; None means this process's own.
        cwd: Where to look for the project; None means the working directory.

    Raises:
        ConfigError: A variable has a value that cannot be used.
    """
    env = os.environ if environ is None else environ
    root = project_root(cwd or _working_directory())
    cassettes = env.get("AQUILA_CASSETTES") or None
    if cassettes is not None and cassettes not in CASSETTE_MODES:
        raise ConfigError(
            f"AQUILA_CASSETTES={cassettes!r} is unknown; use one of {', '.join(CASSETTE_MODES)}"
        )
    endpoint = env.get("AQUILA_ENDPOINT") or "auto"
    if endpoint not in ENDPOINTS:
        raise ConfigError(f"AQUILA_ENDPOINT={endpoint!r} is unknown; use one of {', '.join(ENDPOINTS)}")
    local_model = env.get("AQUILA_LOCAL_MODEL")
    return Settings(
        api_key=env.get("OPENAI_API_KEY") or None,
        base_url=env.get("OPENAI_BASE_URL") or DEFAULT_BASE_URL,
        model=env.get("AQUILA_MODEL") or DEFAULT_MODEL,
        endpoint=endpoint,
        cassettes=cassettes,
        cassette_dir=Path(env.get("AQUILA_CASSETTE_DIR") or root / "cassettes"),
        cassette_speed=_speed(env.get("AQUILA_CASSETTE_SPEED")),
        project_dir=root,
        state_dir=Path(env.get("AQUILA_STATE_DIR") or root / ".aquila").absolute(),
        local_model=Path(local_model) if local_model else None,
        testing=bool(env.get("CI")) or "PYTEST_VERSION" in env or "pytest" in sys.modules,
    )


def _speed(value: str | None) -> float | None:
    if not value:
        return None
    try:
        speed = float(value)
    except ValueError:
        speed = -1.0
    if not 0 <= speed < math.inf:
        raise ConfigError(
            f"AQUILA_CASSETTE_SPEED={value!r} is no speed; use 0 for no waiting, 1 for the recorded time, 10 for ten times it"
        )
    return speed


def project_root(start: Path) -> Path:
    """Find the nearest folder, from `start` upwards, with a pyproject.toml or a .git; else `start` itself."""
    for folder in (start, *start.parents):
        if _exists(folder / "pyproject.toml") or _exists(folder / ".git"):
            return folder
    return start


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        # A folder that may not be searched is no project of ours.
        return False


def _working_directory() -> Path:
    try:
        return Path.cwd()
    except OSError:
        # It has been removed. Most calls need no folder, and those that do name what is wrong with this one.
        return Path("/")


def ensure_state_dir(path: Path) -> Path:
    """Make the state folder, readable by its owner alone.

    Raises:
        ConfigError: It cannot be made or written to.
    """
    new = not _exists(path)
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"state folder {path} cannot be made ({error.strerror}); set AQUILA_STATE_DIR to a folder you may write to"
        ) from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise ConfigError(
            f"state folder {path} is not writable; set AQUILA_STATE_DIR to a folder you may write to"
        )
    if new:
        _hide_from_git(path)
    return path


def _hide_from_git(folder: Path) -> None:
    # The folder holds prompts, answers and a model of a hundred megabytes, which no commit should take along. A disk
    # that is too full for one byte says so at the first thing that matters.
    with suppress(OSError):
        (folder / ".gitignore").write_text("*\n", encoding="utf-8")
