"""Cassette files on disk: read once while they do not change, written whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from aquila.cassette.file.parse import load
from aquila.cassette.interaction import Interaction
from aquila.errors import CassetteError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Signature(NamedTuple):
    """What tells one state of a file from another."""

    #: Time of change, in nanoseconds.
    changed_at: int
    size: int
    inode: int


def signature(path: Path) -> Signature | None:
    """Tell the present state of a file; None if there is none.

    Raises:
        CassetteError: It cannot be looked at.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CassetteError(_unreadable(path, error)) from error
    return Signature(found.st_mtime_ns, found.st_size, found.st_ino)


def read(path: Path) -> tuple[Interaction, ...] | None:
    """Read a cassette; None if there is none. A file that has not changed is parsed once in a process.

    Raises:
        CassetteError: It cannot be read, or it is broken.
    """
    state = signature(path)
    return None if state is None else _read(path, state)


def make_folder(path: Path) -> None:
    """Make the folder of a cassette, before a request is spent on an answer that could not be kept.

    Raises:
        CassetteError: It cannot be made or written to.
    """
    folder = path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CassetteError(unwritable(path, error)) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise CassetteError(unwritable(path, PermissionError(errno.EACCES, os.strerror(errno.EACCES))))


def write(path: Path, text: str, *, like: Path | None = None) -> None:
    """Replace a file by `text` in UTF-8. Readers see the old file or the new one, and a failure leaves the old one.

    Args:
        path: The file.
        text: All that will be in it.
        like: The file whose permissions it gets, if that exists; None for the one it replaces.

    Raises:
        CassetteError: It cannot be written.
    """
    rewrite(path, text.encode(), like=like)


def rewrite(path: Path, data: bytes | None, *, like: Path | None = None) -> None:
    """Replace a cassette by these bytes, or remove it if there are none.

    Args:
        path: The file.
        data: All that will be in it; None removes it.
        like: The file whose permissions it gets, if that exists; None for the one it replaces.

    Raises:
        CassetteError: It cannot be written or removed.
    """
    try:
        if data is None:
            path.unlink()
        else:
            replace_file(path, data, like=like)
    except OSError as error:
        raise CassetteError(unwritable(path, error)) from error


def replace_file(path: Path, data: bytes, *, like: Path | None = None) -> None:
    """Replace a file whole, or leave it as it was.

    Args:
        path: The file.
        data: All that will be in it.
        like: The file whose permissions it gets, if that exists; None for the one it replaces.

    Raises:
        OSError: It cannot be written.
    """
    # A killed process leaves its file behind and another may get its number; and the name must not be longer than
    # the cassette's own, which may be as long as the file system allows.
    temporary = path.with_name(f".{uuid4().hex[:16]}.tmp")
    mode = _mode(like or path)
    try:
        with temporary.open("xb") as file:
            if mode is not None:
                with suppress(OSError):  # Some file systems know no permissions.
                    temporary.chmod(mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def unwritable(path: Path, error: OSError) -> str:
    """Say why a cassette cannot be written, and what helps."""
    remedy = "make its folder writable or set AQUILA_CASSETTE_DIR to one that is"
    if error.errno in _FULL:
        remedy = "free disk space or raise the file size limit (ulimit -f) and run again"
    elif error.errno == errno.ENAMETOOLONG:
        remedy = "give it a shorter name"
    kept = "; the file that was there is unchanged" if _exists(path) else ""
    return f"cassette {path} cannot be written ({error.strerror}); {remedy}{kept}"


@lru_cache(maxsize=64)
def _read(path: Path, _state: Signature) -> tuple[Interaction, ...]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CassetteError(_unreadable(path, error)) from error
    return load(data, str(path))


def _unreadable(path: Path, error: OSError) -> str:
    remedy = "check its permissions and AQUILA_CASSETTE_DIR"
    if isinstance(error, IsADirectoryError):
        return f"cassette {path} is a folder; name a file in it"
    if error.errno == errno.ENAMETOOLONG:
        remedy = "give it a shorter name"
    return f"cassette {path} cannot be read ({error.strerror}); {remedy}"


def _mode(path: Path) -> int | None:
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return None


def _exists(path: Path) -> bool:
    try:
        path.stat()
    except OSError:
        return False
    return True
