"""Which way a cassette is used, and which file a name stands for."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Literal, get_args

from aquila.cassette.defaults import DEFAULTS
from aquila.errors import ConfigError
from aquila.settings import Settings

#: off: not at all. none: replay only. once: replay if the file exists, else record. new_episodes: replay what matches,
#: record the rest. all: record everything, in the place of equal interactions. rewrite: begin an empty file.
Mode = Literal["off", "none", "once", "new_episodes", "all", "rewrite"]

_MODES: tuple[Mode, ...] = get_args(Mode)
_SUFFIX = ".yaml"


def resolve_mode(explicit: str | None, settings: Settings) -> Mode:
    """Choose the mode.

    It is the explicit one, else that of `pytest --aquila-record`, else `AQUILA_CASSETTES`, else `none` in tests and CI,
    else `off`.

    Raises:
        ConfigError: There is no such mode.
    """
    chosen = explicit or DEFAULTS.mode or settings.cassettes
    return check_mode(chosen or ("none" if settings.testing else "off"))


def check_mode(mode: str) -> Mode:
    """Give the mode with that name.

    Raises:
        ConfigError: There is none.
    """
    for known in _MODES:
        if known == mode:
            return known
    raise ConfigError(f"cassette mode {mode!r} is unknown; use one of {', '.join(_MODES)}")


def check_name(name: str) -> PurePosixPath:
    """Give a cassette's name as a path.

    Raises:
        ConfigError: It leads out of the cassette folder.
    """
    path = PurePosixPath(name)
    if not path.parts or path.is_absolute() or ".." in path.parts or set(name) & {"\\", ":", "\0"}:
        raise ConfigError(
            f"cassette name {name!r} is no path below the cassette folder; use one like 'jobs/explain'"
        )
    return path


def cassette_path(name: str, folder: Path) -> Path:
    """Give the file of a cassette: `jobs/explain` is `<folder>/jobs/explain.yaml`.

    Raises:
        ConfigError: The name leads out of the folder.
    """
    path = check_name(name)
    return folder / path.with_name(path.name.removesuffix(_SUFFIX) + _SUFFIX)
