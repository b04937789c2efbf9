"""The text of a response, by item and part. Pure.

Text comes in fragments, again with the end of its part, again with its item, and again with the response. What came in
fragments counts; of the rest only what is missing is taken, and a contradiction changes nothing that was given out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import inf
from typing import Any, TypeAlias

from aquila.endpoint.wire_json import list_of, text_of
from aquila.events import Chunk, Event, Status

#: Which part of which item: the item's place or id, and the part's place in it.
Key: TypeAlias = tuple[int | str | None, int | None]


class ResponseText:
    """Gathers the text of one response."""

    __slots__ = ("_asides", "_commentary", "_parts")

    def __init__(self) -> None:
        self._parts: dict[Key, list[str]] = {}
        self._asides: dict[Key, list[str]] = {}
        #: Items the model has marked as comments on its work, which are not its answer.
        self._commentary: set[int | str | None] = set()

    def __str__(self) -> str:
        """Give the answer: what is no comment, or the comments if there is nothing else."""
        return _joined(self._parts) or _joined(self._asides)

    def begin(self, item: int | str | None, *, commentary: bool) -> None:
        """Take what follows from an item for a comment or for answer; some gateways put every item at one place."""
        if commentary:
            self._commentary.add(item)
        else:
            self._commentary.discard(item)

    def add(self, key: Key, text: str) -> Event:
        """Take a fragment."""
        if key[0] in self._commentary:
            self._asides.setdefault(key, []).append(text)
            return Status("commentary", {"text": text})
        part = self._parts.get(key)
        if part is None:
            part = self._parts[key] = []
        part.append(text)
        return Chunk(text)

    def complete_part(self, key: Key, text: str) -> list[Event]:
        """Take the whole text of a part and give what was missing of it."""
        parts = self._asides if key[0] in self._commentary else self._parts
        missing = _missing("".join(parts.get(key, ())), text)
        return [self.add(key, missing)] if missing else []

    def complete(self, items: Iterable[Any]) -> list[Event]:
        """Take all items of the response and give what was missing of its answer.

        Some gateways number the items at the end otherwise than on the way, so the answer is compared as a whole.
        """
        messages = [item for item in items if _is_answer(item)]
        missing = _missing(_joined(self._parts), "".join(map(_text_of, messages)))
        if not missing or (not self._parts and self._asides and not messages):
            return []
        return [self.add((None, len(self._parts)), missing)]


def _missing(streamed: str, whole: str) -> str:
    return whole[len(streamed) :] if whole.startswith(streamed) else ""


def _joined(parts: Mapping[Key, list[str]]) -> str:
    # Parts may come interleaved; their places say the order.
    return "".join("".join(parts[key]) for key in sorted(parts, key=_place))


def _place(key: Key) -> tuple[float, int]:
    # What has no place stays in the order it came in.
    item, part = key
    return (item, part or 0) if isinstance(item, int) else (inf, 0)


def _is_answer(item: Any) -> bool:
    return isinstance(item, Mapping) and item.get("type") == "message" and item.get("phase") != "commentary"


def _text_of(item: Mapping[str, Any]) -> str:
    content = item.get("content")
    if isinstance(content, str):
        return content
    parts = list_of(content, "content")
    return "".join(
        text_of(part.get("text"), "text part")
        for part in parts
        if isinstance(part, Mapping) and part.get("type") == "output_text"
    )
