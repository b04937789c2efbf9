"""What a test run played of its cassettes, for those who tidy up after it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from aquila.cassette.file.disk import replace_file
from aquila.cassette.file.parse import load as load_cassette
from aquila.cassette.interaction import Interaction
from aquila.errors import CassetteError
from aquila.settings import ensure_state_dir

#: The file's name in the state folder.
NAME = "cassette-run.json"


@dataclass(frozen=True, slots=True)
class UsedCassette:
    """A cassette that the run opened."""

    #: Absolute, or below the run's folder.
    path: str
    #: How many it held.
    interactions: int
    #: Those that were played or recorded, from 0.
    played: tuple[int, ...]
    #: Of the file at the end of the run; see `file_digest`.
    digest: str
    #: Whether the run recorded into it. Then all of it is in use: what was not played was just recorded.
    recorded: bool = False


@dataclass(frozen=True, slots=True)
class FolderFile:
    """A cassette that was in the folder when the run ended, whether a test opened it or not."""

    #: Below the run's folder.
    path: str
    #: See `file_digest`.
    digest: str


@dataclass(frozen=True, slots=True)
class RunReport:
    """One run of the tests."""

    #: Aware.
    finished_at: datetime
    #: Whether every test ran and passed, so that what was not played is not needed.
    complete: bool
    #: The cassette folder, absolute.
    folder: str
    used: tuple[UsedCassette, ...]
    #: See `list_folder`; empty in the reports of older releases, after which no file counts as unused.
    files: tuple[FolderFile, ...] = ()
    #: The tests, by node id, that opened a cassette in this run or an earlier one; by path.
    tests: dict[str, tuple[str, ...]] = field(default_factory=dict)


_REPORT = TypeAdapter(RunReport)


def save(report: RunReport, state_dir: Path) -> None:
    """Keep a report in the place of the one before.

    Raises:
        CassetteError: It cannot be written.
        ConfigError: The state folder cannot be made or written to.
    """
    path = ensure_state_dir(state_dir) / NAME
    try:
        replace_file(path, _REPORT.dump_json(report, indent=2))
    except ValueError as error:
        raise CassetteError(
            f"run report {path} cannot be written (the name of a cassette is not UTF-8); rename the cassette"
        ) from error
    except OSError as error:
        raise CassetteError(
            f"run report {path} cannot be written ({error.strerror}); free disk space or set AQUILA_STATE_DIR"
        ) from error


def load(state_dir: Path) -> RunReport | None:
    """Give the report of the last run; None if there is none.

    Raises:
        CassetteError: It cannot be read, or it is broken.
    """
    path = state_dir / NAME
    try:
        return _REPORT.validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CassetteError(
            f"run report {path} cannot be read ({error.strerror}); check its permissions"
        ) from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise CassetteError(
            f"run report {path} is broken ({place}: {first['msg']}); delete it and run the tests again"
        ) from error


def file_digest(path: str | Path) -> str:
    """Give the digest by which a file that has changed since the run is noticed; empty if there is no file.

    Raises:
        CassetteError: It cannot be read.
    """
    try:
        if Path(path).exists() and not (Path(path).is_file() or Path(path).is_dir()):
            return ""  # Reading a pipe would wait for ever.
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise CassetteError(
            f"cassette {path} cannot be read ({error.strerror}); check its permissions"
        ) from error


def list_folder(folder: Path) -> tuple[FolderFile, ...]:
    """List the cassettes in a folder that Aquila wrote. What is broken, or another tool's, is none of them."""
    return tuple(
        FolderFile(path.relative_to(folder).as_posix(), hashlib.sha256(data).hexdigest())
        for path, data in _readable(folder)
        if is_ours(data, str(path))
    )


def is_ours(data: bytes, name: str) -> bool:
    """Tell whether these are the bytes of a cassette that Aquila wrote, or imported, at least in part.

    Args:
        data: The file's bytes.
        name: The file's name.
    """
    if b"aquila" not in data:
        return False  # Reading other people's large files as YAML takes long.
    try:
        return any(_has_extras(item) for item in load_cassette(data, name))
    except CassetteError:
        return False


def _has_extras(item: Interaction) -> bool:
    return item.document is not None and item.document["response"].get("aquila") is not None


def _readable(folder: Path) -> Iterator[tuple[Path, bytes]]:
    for path in sorted(folder.rglob("*.yaml")):
        try:
            str(path).encode()
            if path.is_file() and not path.name.startswith("."):
                yield path, path.read_bytes()
        except (OSError, UnicodeEncodeError):
            # What cannot be read or named is left out, and so never removed.
            continue
