"""What killed processes leave beside cassettes: files half written, and locks that nobody holds."""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from pathlib import Path

from aquila.file_lock import FileLock

#: The names given by `disk.replace_file` and by `exclusive`.
_HALF_WRITTEN = re.compile(r"\.[0-9a-f]{16}\.tmp")
_LOCK = re.compile(r"\.[0-9a-f]{16}\.lock")
#: No living process takes that long, in nanoseconds.
_OLD = 3600 * 10**9


def remove_leftovers(folder: Path, now: int) -> None:
    """Remove what was left in a folder more than an hour ago. What cannot be removed stays.

    Args:
        folder: That of a cassette.
        now: In nanoseconds, by the clock of the file system: when a file in it was written just now.
    """
    with suppress(OSError):
        for path in folder.iterdir():
            if _HALF_WRITTEN.fullmatch(path.name) and _is_old(path, now):
                path.unlink(missing_ok=True)
            elif _LOCK.fullmatch(path.name) and _is_old(path, now):
                _remove_lock(path)


def _is_old(path: Path, now: int) -> bool:
    try:
        return now - path.stat().st_mtime_ns > _OLD
    except FileNotFoundError:
        return False


def _remove_lock(path: Path) -> None:
    if sys.platform == "win32":
        return
    with FileLock(path) as lock:
        # Removed while it is held: who waits for it sees that it is deleted, and takes a new one.
        if lock.try_lock():
            path.unlink(missing_ok=True)
