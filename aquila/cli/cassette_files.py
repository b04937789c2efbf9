"""The files that a person means by paths, and what keeps one of them from being a cassette at all."""

from __future__ import annotations

import errno
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from aquila.errors import ConfigError
from aquila.sink.printable import one_line

_LONGEST = 4000
_KINDS = {
    stat.S_IFDIR: "it is a folder",
    stat.S_IFIFO: "it is a pipe",
    stat.S_IFSOCK: "it is a socket",
    stat.S_IFCHR: "it is a device",
    stat.S_IFBLK: "it is a device",
}


def cassette_files(paths: Iterable[Path], *, must_exist: bool = True) -> Iterator[Path]:
    """Give the files that are named, and the cassettes in the folders that are named.

    Args:
        paths: Files and folders.
        must_exist: Whether one that does not exist is an error.

    Yields:
        Their paths, as they were named.

    Raises:
        ConfigError: A path does not exist.
    """
    for path in paths:
        if path.is_dir():
            yield from sorted(file for file in path.rglob("*.yaml") if not file.name.startswith("."))
        elif path.exists() or path.is_symlink():
            yield path
        elif must_exist:
            raise ConfigError(
                f"there is no {shown_path(path)}; name another one, or none for AQUILA_CASSETTE_DIR"
            )


def oddity(path: Path) -> str | None:
    """Say why a path is no file that can be read; None for a file. Opening a pipe would wait for ever."""
    try:
        kind = stat.S_IFMT(path.stat().st_mode)
    except FileNotFoundError:
        return "it is a link to a file that does not exist" if path.is_symlink() else None
    except OSError as error:
        return "it is a link that leads to itself" if error.errno == errno.ELOOP else None
    except ValueError:
        return None  # A name that no file can have.
    return _KINDS.get(kind)


def shown_path(path: Path) -> str:
    """Write a path on one line: a file's name may hold anything, a line end too."""
    return one_line(str(path), _LONGEST)
