"""What the processes of one test run tell each other of cassettes: a file that each of them appends lines to.

The run's first process makes the file and names it in the environment of those it starts: the processes of pytest-xdist,
workers, commands. Without a test run there is no file, and nothing is told.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

#: The environment variable for children: the owner's process id, a colon, the file.
VARIABLE = "AQUILA_CASSETTE_RUN"

#: opened: somebody asked for something in it. played: an interaction was played. recorded: one was recorded. rewritten:
#: what was there before the run is gone.
Kind = Literal["opened", "played", "recorded", "rewritten"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line."""

    kind: Kind
    #: Resolved.
    path: str
    #: Of the process that wrote it.
    pid: int
    #: Of the process whose tests it belongs to: itself, or the one that started it.
    owner: int
    #: Which interaction was played, from 0; None for the other kinds.
    position: int | None = None


class _Rewritten(NamedTuple):
    """What is known of the files that the run has begun anew."""

    #: The journal it was read in.
    file: Path | None
    #: How far.
    size: int
    paths: frozenset[str]


class Journal:
    """The file of this process's run, if there is one."""

    def __init__(self, file: Path | None, owner: int | None = None) -> None:
        self.file = file
        #: The process whose tests this one works for; None for itself.
        self.owner = owner
        #: Replaced as a whole, so that threads need no lock.
        self._rewritten = _Rewritten(file, 0, frozenset())

    def note(self, kind: Kind, path: Path, position: int | None = None) -> None:
        """Append a line. A disk that is full must not make a replay fail, so nothing is raised."""
        if self.file is None:
            return
        pid = os.getpid()
        entry = {
            "kind": kind,
            "path": _resolved(path.absolute()),
            "pid": pid,
            "owner": self.owner or pid,
            "position": position,
        }
        # One short write in this mode is never mixed with another's.
        with suppress(OSError), open(self.file, "ab", buffering=0, opener=_open_existing) as file:
            file.write(json.dumps(entry).encode() + b"\n")

    def size(self) -> int:
        """Give how much there is, for `entries` to begin behind it."""
        with suppress(OSError):
            return self.file.stat().st_size if self.file is not None else 0
        return 0

    def of_children(self, since: int = 0) -> Iterator[Entry]:
        """Read what the processes that this one has started appended.

        Args:
            since: An earlier `size`.

        Yields:
            Their entries, in order.
        """
        own = os.getpid()
        yield from (entry for entry in self.entries(since) if entry.owner == own != entry.pid)

    def entries(self, since: int = 0) -> Iterator[Entry]:
        """Read what was appended.

        Args:
            since: An earlier `size`.

        Yields:
            The entries of all processes, in order.
        """
        yield from _entries(_lines(self.file, since))

    def has_rewritten(self, path: Path) -> bool:
        """Tell whether a process of the run has begun the file anew."""
        known = self._rewritten
        if known.file != self.file:
            known = _Rewritten(self.file, 0, frozenset())
        lines = _lines(known.file, known.size)
        if lines:
            found = _entries(line for line in lines if b'"rewritten"' in line)
            paths = known.paths.union(entry.path for entry in found if entry.kind == "rewritten")
            known = _Rewritten(known.file, known.size + sum(map(len, lines)), paths)
        self._rewritten = known
        return _resolved(path.absolute()) in known.paths


def _lines(file: Path | None, since: int) -> list[bytes]:
    if file is None:
        return []
    try:
        with file.open("rb") as source:
            source.seek(since)
            read = source.read()
    except OSError:
        return []
    # A line without its end is still being written.
    return read[: read.rfind(b"\n") + 1].splitlines(keepends=True)


def _entries(lines: Iterable[bytes]) -> Iterator[Entry]:
    for line in lines:
        # A process that was killed, or met a full disk, has left part of a line, and the next one follows it.
        with suppress(ValueError, TypeError):
            entry = Entry(**json.loads(line))
            yield entry


@lru_cache(maxsize=1024)
def _resolved(path: Path) -> str:
    return str(path.resolve())


def _open_existing(name: str, flags: int) -> int:
    # The run removes the file when it ends; a child that outlives it must not leave another one.
    return os.open(name, flags & ~os.O_CREAT)


def _from_environment() -> Journal:
    owner, colon, name = os.environ.get(VARIABLE, "").partition(":")
    return Journal(Path(name), int(owner)) if colon and owner.isdecimal() and name else Journal(None)


#: Read once, because tests clear the environment. The plugin puts its own in.
JOURNAL = _from_environment()


def _belong_to_the_parent() -> None:
    JOURNAL.owner = JOURNAL.owner or os.getppid()


if hasattr(os, "register_at_fork"):  # Windows has no fork.
    os.register_at_fork(after_in_child=_belong_to_the_parent)
