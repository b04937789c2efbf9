"""Where a reader stands in a job's live stream: a place in Redis, and whether the end of the job is behind it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from aquila.errors import ConfigError

#: A stream's own order: milliseconds and a number.
Position = tuple[int, int]

BEGINNING: Position = (0, 0)
_CURSOR = re.compile(r"(\d{1,18})(?:-(\d{1,18}))?(?:\.ended-(\d{1,9}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place that readers are given and come back with."""

    position: Position = BEGINNING
    #: The attempt whose end has been read, if an end was the last thing that was read.
    ended: int | None = None

    def __str__(self) -> str:
        place = format_position(self.position)
        # The end may be told from the row alone, whose stream is gone: the place alone would not say that it was read.
        return place if self.ended is None else f"{place}.ended-{self.ended}"


def parse_cursor(text: str | None) -> Cursor:
    """Read a cursor; None and an empty one stand at the beginning.

    Raises:
        ConfigError: It is no cursor.
    """
    if not text:
        return Cursor()
    found = _CURSOR.fullmatch(text)
    if found is None:
        raise ConfigError(
            f"after={text[:40]!r} is no cursor of a job's events; pass the `cursor` of an event, or None"
        )
    milliseconds, number, ended = found.groups()
    return Cursor((int(milliseconds), int(number or 0)), None if ended is None else int(ended))


def parse_position(key: bytes) -> Position:
    """Read the id that Redis gave an entry."""
    milliseconds, _, number = key.partition(b"-")
    return int(milliseconds), int(number)


def format_position(position: Position) -> str:
    """Write a place as Redis reads it."""
    return f"{position[0]}-{position[1]}"
