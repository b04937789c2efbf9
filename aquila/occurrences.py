"""`Occurrences`: which of several things that are alike one is. Pure."""

from __future__ import annotations


class Occurrences:
    """Gives numbers, from 1, to things with the same key; each is held by one of them at a time.

    What is asked for again in another process gets the same numbers there, whatever has failed and was given back.
    """

    def __init__(self) -> None:
        self._taken: dict[str, set[int]] = {}

    def take(self, key: str) -> int:
        """Take the lowest free number of a key."""
        taken = self._taken.setdefault(key, set())
        number = next(number for number in range(1, len(taken) + 2) if number not in taken)
        taken.add(number)
        return number

    def give_back(self, key: str, number: int) -> None:
        """Let somebody else have a number."""
        self._taken[key].discard(number)
