"""What the adapters were asked to do, written by them to a file, line by line: a record beside the database's."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

#: How a call ends, in its line.
ENDS = ("ok", "temporary", "permanent", "bounced")


@dataclass(slots=True)
class Calls:
    """The calls for one delivery."""

    #: By attempt, each beginning: the machine's time, and the process.
    begun: defaultdict[int, list[tuple[float, int]]] = field(default_factory=lambda: defaultdict(list))
    #: By attempt, how each call ended that did.
    ended: defaultdict[int, list[str]] = field(default_factory=lambda: defaultdict(list))

    @property
    def attempts(self) -> list[int]:
        """The attempts for which an adapter was called, in order."""
        return sorted(self.begun)


def note(path: Path, *words: object) -> None:
    """Add a line; whole, whoever else writes."""
    line = f"{' '.join(map(str, words))}\n".encode()
    opened = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(opened, line)
    finally:
        os.close(opened)


def read_calls(lines: Iterable[str]) -> dict[str, Calls]:
    """Read the calls, by delivery.

    Raises:
        ValueError: A line is not whole.
    """
    found: defaultdict[str, Calls] = defaultdict(Calls)
    for line in lines:
        match line.split():
            case ["begin", delivery_id, attempt, at, pid]:
                found[delivery_id].begun[int(attempt)].append((float(at), int(pid)))
            case [end, delivery_id, attempt] if end in ENDS:
                found[delivery_id].ended[int(attempt)].append(end)
            case _:
                raise ValueError(f"a line of the calls is not whole: {line!r}")
    return dict(found)
