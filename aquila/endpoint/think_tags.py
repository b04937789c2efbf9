"""Reasoning that a server leaves in the text: `<think>...</think>` at its start. Pure."""

from __future__ import annotations

from aquila.events import Chunk, Event, ReasoningChunk

_OPEN = "<think>"
_CLOSE = "</think>"


class ThinkTags:
    """Splits text into reasoning and answer; tags may be cut anywhere.

    Only a tag that opens the text counts, so that an answer about tags stays an answer.
    """

    __slots__ = ("_held", "_inside", "_trim", "done")

    def __init__(self) -> None:
        self._held = ""
        self._inside = False
        self._trim = False
        #: True when the rest is answer and needs no look.
        self.done = False

    def feed(self, text: str) -> list[Event]:
        """Take the next text; what may be part of a tag waits."""
        held = self._held + text
        self._held = ""
        if self._inside:
            return self._reasoning(held)
        if self._trim:
            return self._answer(held)
        start = held.lstrip()
        if start.startswith(_OPEN):
            self._inside = True
            return self._reasoning(start[len(_OPEN) :])
        if _OPEN.startswith(start):
            self._held = held
            return []
        self.done = True
        return [Chunk(held)]

    def flush(self) -> list[Event]:
        """Give what waited for the rest of a tag that never came."""
        held, self._held = self._held, ""
        if not held:
            return []
        return [ReasoningChunk(held) if self._inside else Chunk(held)]

    def _reasoning(self, text: str) -> list[Event]:
        inside, closed, rest = text.partition(_CLOSE)
        if closed:
            self._inside, self._trim = False, True
            return [*([ReasoningChunk(inside)] if inside else []), *self._answer(rest)]
        keep = _overlap(text)
        self._held = text[len(text) - keep :]
        said = text[: len(text) - keep]
        return [ReasoningChunk(said)] if said else []

    def _answer(self, text: str) -> list[Event]:
        # The blank lines between the tag and the answer belong to neither.
        text = text.lstrip()
        if not text:
            return []
        self.done = True
        return [Chunk(text)]


def _overlap(text: str) -> int:
    """Count the characters at the end that may begin the closing tag."""
    return next((size for size in range(len(_CLOSE) - 1, 0, -1) if text.endswith(_CLOSE[:size])), 0)
