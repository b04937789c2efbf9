"""One writer at a time for a cassette, among all processes of a machine."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from aquila.cassette.file.disk import unwritable
from aquila.errors import CassetteError
from aquila.file_lock import FileLock

#: Seconds to wait for the others; each holds the lock for one reading and one writing.
_PATIENCE = 60.0


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Keep other processes from writing a cassette during the block.

    The lock is a file beside the cassette, which is itself replaced by each save; nothing of it stays behind. Where
    the system has no such locks the block runs without one.

    Raises:
        CassetteError: Another process holds the lock for too long, or the folder cannot be written to.
    """
    guard = _guard(path)
    lock = None if sys.platform == "win32" else _take(path, guard)
    try:
        yield
    finally:
        if lock is not None:
            # The name goes first: who waits for this lock sees that it is deleted, and takes a new one.
            with lock, suppress(OSError):
                guard.unlink(missing_ok=True)


def _guard(path: Path) -> Path:
    # The cassette's own name may be as long as the file system allows.
    name = hashlib.blake2b(path.name.encode(errors="surrogateescape"), digest_size=8).hexdigest()
    return path.with_name(f".{name}.lock")


def _take(path: Path, guard: Path) -> FileLock | None:
    while True:
        try:
            lock = FileLock(guard)
        except OSError as error:
            raise CassetteError(unwritable(path, error)) from error
        if not _locked(path, guard, lock):
            return None
        if not lock.is_deleted():
            return lock
        lock.close()


def _locked(path: Path, guard: Path, lock: FileLock) -> bool:
    try:
        lock.lock(timeout=_PATIENCE)
    except TimeoutError as error:
        lock.close()
        raise CassetteError(
            f"cassette {path} cannot be written: another process has been writing it for {_PATIENCE:g} s; end it and "
            "run again"
        ) from error
    except OSError:
        # No locks on this file system: better one recorder at a time by agreement than no recording.
        lock.close()
        with suppress(OSError):
            guard.unlink(missing_ok=True)
        return False
    return True
