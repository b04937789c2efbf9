"""Puts what happened in order: by time, and what happened at once by what led to what. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from chimeway.explain.explanation import Entry

#: Where things stand among those of the same moment. A run's moves are `MOVE` apart, and what one of them planned comes
#: between it and the next.
EVENT, NOTIFICATION = -2, -1
MOVE = 10
SIGNAL_BEFORE = -1
PLANNED, BEGAN, ATTEMPT, PROVIDER, ENDED, PERSON = 1, 2, 3, 4, 5, 6


@dataclass(frozen=True, slots=True)
class Placed:
    """Something that happened, and where it stands among what happened at the same moment."""

    place: int
    entry: Entry


def in_order(placed: Iterable[Placed]) -> tuple[Entry, ...]:
    """Give entries in order; one that is there twice is told once."""
    ordered = sorted(placed, key=lambda one: (one.entry.at, one.place))
    return tuple(dict.fromkeys(one.entry for one in ordered))
