"""Where a job notes its begin and its end, with the process it runs in, on the clock that all processes share."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

#: The environment: the file of the notes, Redis, PostgreSQL, and the jobs at once in the worker.
NOTES, REDIS, POSTGRES, AT_ONCE = "BENCH_NOTES", "BENCH_REDIS", "BENCH_POSTGRES", "BENCH_AT_ONCE"


@dataclass(frozen=True, slots=True)
class Note:
    """A begin or an end."""

    number: int
    what: str
    at: float
    pid: int


def note(number: int, what: str) -> None:
    """Add a line; the system appends short lines whole."""
    line = f"{number} {what} {time.monotonic()} {os.getpid()}\n"
    file = os.open(os.environ[NOTES], os.O_APPEND | os.O_WRONLY | os.O_CREAT, 0o600)
    os.write(file, line.encode())
    os.close(file)


def notes(path: Path, behind: int = 0) -> Iterator[Note]:
    """Read the lines, from a number of bytes on.

    Yields:
        One note after the other.
    """
    if path.exists():
        with path.open() as file:
            file.seek(behind)
            for line in file:
                number, what, at, pid = line.split()
                yield Note(int(number), what, float(at), int(pid))


def at_once() -> int:
    """Give the jobs at once in the worker."""
    return int(os.environ[AT_ONCE])
