"""What a response says beside its text: reasoning, a refusal, sources. Pure.

All of it comes in fragments of its own and again with the response. Servers that send no fragments say it only there,
and then it is taken from there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aquila.endpoint.wire_json import text_of
from aquila.events import Annotation, Event, ReasoningChunk, Status, Unknown


class Asides:
    """Gathers what one response says beside its text."""

    __slots__ = ("_annotated", "_reasoned", "_refusal")

    def __init__(self) -> None:
        self._annotated = False
        self._reasoned = False
        self._refusal: list[str] = []

    @property
    def refusal(self) -> str:
        """Why the model refused; empty if it did not."""
        return "".join(self._refusal)

    def reason(self, text: str) -> list[Event]:
        """Take a fragment of reasoning."""
        self._reasoned = self._reasoned or bool(text)
        return [ReasoningChunk(text)] if text else []

    def refuse(self, text: str) -> list[Event]:
        """Take a fragment of a refusal."""
        if not text:
            return []
        self._refusal.append(text)
        return [Status("refusal", {"text": text})]

    def complete_refusal(self, whole: str) -> list[Event]:
        """Take a whole refusal and give what was missing of it."""
        told = self.refusal
        return self.refuse(whole[len(told) :]) if whole.startswith(told) else []

    def annotate(self, annotation: Any) -> list[Event]:
        """Take a source."""
        self._annotated = True
        return [Annotation(annotation) if isinstance(annotation, dict) else Unknown(annotation)]

    def owed(self, items: Sequence[Mapping[str, Any]]) -> list[Event]:
        """Give what the items of the whole response say and no fragment did."""
        events: list[Event] = []
        if not self._reasoned:
            events += self.reason("\n\n".join(text for item in items for text in _reasoning(item)))
        parts = [part for item in items if item.get("type") == "message" for part in _list(item, "content")]
        if not self._annotated:
            events += [
                event
                for part in parts
                for source in _list(part, "annotations")
                for event in self.annotate(source)
            ]
        refusals = (
            text_of(part.get("refusal"), "refusal") for part in parts if part.get("type") == "refusal"
        )
        return [*events, *self.complete_refusal("".join(refusals))]


def _reasoning(item: Mapping[str, Any]) -> Iterator[str]:
    if item.get("type") == "reasoning":
        for part in _list(item, "content") or _list(item, "summary"):
            if text := text_of(part.get("text"), "reasoning"):
                yield text


def _list(facts: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    value = facts.get(name)
    return [entry for entry in value if isinstance(entry, Mapping)] if isinstance(value, list) else []
