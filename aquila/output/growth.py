"""From the pieces of an answer's text to the values that `Partial` events carry."""

from __future__ import annotations

from typing import Any

from aquila.output.partial_json import PartialJSON
from aquila.output.shape import RESULT, Shape


class Growing:
    """Follows one answer; a new answer, after a repair, takes a new `Growing`.

    Args:
        shape: What the answer is to look like.
    """

    __slots__ = ("_json", "_wrapped")

    def __init__(self, shape: Shape[Any]) -> None:
        self._json = PartialJSON()
        self._wrapped = shape.wrapped

    def feed(self, text: str) -> Any | None:
        """Take the next piece of text and give the value as far as it has come; None when nothing is new.

        Objects and lists are the same ones every time. They are not validated: what is missing is missing.
        """
        if not self._json.feed(text):
            return None
        value = self._json.value
        # An answer is an object on the wire; anything else is talk that happens to be JSON.
        if not isinstance(value, dict):
            return None
        return value.get(RESULT) if self._wrapped else value
