"""What the processes of one test run tell each other of cassettes: a file that each of them appends lines to.

The run's first process makes the file and names it in the environment of those it starts: the processes of pytest-xdist,
workers, commands. Without a test run there is no file, and nothing is told.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

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


class Journal:
    """The file of this process's run, if there is one."""

    def __init__(self, file: Path | None, owner: int | None = None) -> None:
        self.file = file
        #: The process whose tests this one works for; None for itself.
        self.owner = owner

    def note(self, kind: Kind, path: Path, position: int | None = None) -> None:
        """Append a line. A disk that is full must not make a replay fail, so nothing is raised."""
        if self.file is None:
            return
        pid = os.getpid()
        entry = {
            "kind": kind,
            "path": str(path.resolve()),
            "pid": pid,
            "owner": self.owner or pid,
            "position": position,
        }
        # One short write in this mode is never mixed with another's.
        with suppress(OSError), self.file.open("ab", buffering=0) as file:
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
        if self.file is None:
            return
        try:
            with self.file.open("rb") as file:
                file.seek(since)
                lines = file.read().splitlines(keepends=True)
        except OSError:
            return
        # A line without its end is still being written.
        yield from (Entry(**json.loads(line)) for line in lines if line.endswith(b"\n"))

    def has_rewritten(self, path: Path) -> bool:
        """Tell whether a process of the run has begun the file anew."""
        name = str(path.resolve())
        return any(entry.kind == "rewritten" and entry.path == name for entry in self.entries())


def _from_environment() -> Journal:
    owner, colon, name = os.environ.get(VARIABLE, "").partition(":")
    return Journal(Path(name), int(owner)) if colon and owner.isdecimal() and name else Journal(None)


#: Read once, because tests clear the environment. The plugin puts its own in.
JOURNAL = _from_environment()
