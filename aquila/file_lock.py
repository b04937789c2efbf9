"""A lock on a file that the kernel drops with its holder, however that one dies.

The lock (`flock`) belongs to the open file, not to the process, and a forked child shares its parent's open files. Hence
two ways to let go. `close` only closes: the lock lasts until parent and child have both done so, and neither takes it
from the other. `unlock`, and the end of a `with` block, drop it for both: right for a lock held during a few steps, which
a child forked meanwhile by another thread must not keep. Programs started with exec inherit nothing.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

if sys.platform != "win32":
    import fcntl

#: Seconds between two tries. The holders that matter let go within microseconds or after seconds.
RETRY_EVERY = 0.02


class FileLock:
    """One open file and what it holds. Two of them on the same path exclude each other, in one process too."""

    def __init__(self, path: Path) -> None:
        """Open the file, and make it if it is missing; nothing is locked yet.

        Raises:
            OSError: It cannot be opened.
        """
        self.file = path.open("a+b", buffering=0)

    def try_lock(self, *, shared: bool = False) -> bool:
        """Take the lock if nobody holds it against us.

        Raises:
            OSError: The file system has no locks.
        """
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        try:
            fcntl.flock(self.file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def lock(self, *, shared: bool = False, timeout: float) -> None:
        """Take the lock, waiting at most `timeout` seconds for it.

        Raises:
            TimeoutError: Somebody held it all the time.
            OSError: The file system has no locks.
        """
        deadline = time.monotonic() + timeout
        while not self.try_lock(shared=shared):
            if time.monotonic() >= deadline:
                raise TimeoutError(f"{self.file.name} was locked by another process for {timeout:g} s")
            time.sleep(RETRY_EVERY)

    def unlock(self) -> None:
        """Let go, on behalf of forked children too, and keep the file open. Does nothing once it is closed."""
        if not self.file.closed:
            fcntl.flock(self.file, fcntl.LOCK_UN)

    def touch(self) -> None:
        """Set the file's time of change to now, for others to see that somebody was here."""
        os.utime(self.file.fileno())

    def changed_at(self) -> int:
        """Say when the file was last touched, in nanoseconds; only good for comparing."""
        return os.fstat(self.file.fileno()).st_mtime_ns

    def is_deleted(self) -> bool:
        """Say whether the file has lost its name, so that nobody else can find this lock."""
        return os.fstat(self.file.fileno()).st_nlink == 0

    def write(self, text: str) -> None:
        """Replace the file's content; what a holder says about itself.

        Raises:
            OSError: It cannot be written.
        """
        self.file.truncate(0)
        self.file.write(text.encode())

    def close(self) -> None:
        """Close the file; the lock goes too unless a forked child has the file open. May be called twice."""
        self.file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unlock()
        self.close()


def is_locked(path: Path) -> bool:
    """Say whether somebody holds the file's lock exclusively.

    Raises:
        OSError: The file cannot be opened, or its file system has no locks.
    """
    if not path.exists():
        return False
    with FileLock(path) as probe:
        return not probe.try_lock(shared=True)
