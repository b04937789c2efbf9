"""From events to the Response they make. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from aquila.events import Chunk, Event, ReasoningChunk, Retrying, Started, Status, UsageUpdate
from aquila.messages import Message
from aquila.response import Response, Usage
from aquila.response import Status as ResponseStatus

_CUT = {"length", "content_filter"}


def fold(events: Iterable[Event]) -> Response:
    """Make the Response that the events of one run amount to."""
    folder = Folder()
    for event in events:
        folder.add(event)
    return folder.response()


class Folder:
    """Gathers a run's events; `response` may be asked at any time for what there is so far."""

    __slots__ = ("_facts", "_meta", "_reasoning", "_refusal", "_text", "_usage")

    def __init__(self) -> None:
        self._meta: Mapping[str, Any] = {}
        self._restart()

    def _restart(self) -> None:
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._refusal: list[str] = []
        self._usage: Usage | None = None
        self._facts: dict[str, Any] = {}

    def add(self, event: Event) -> None:
        """Take one event."""
        match event:
            case Chunk(text=text):
                self._text.append(text)
            case ReasoningChunk(text=text):
                self._reasoning.append(text)
            case UsageUpdate(usage=usage):
                # The last usage of a request is its total, so it replaces what came before.
                self._usage = usage
            case Started(meta=meta):
                self._meta = meta
            case Status(name="refusal", data=data):
                self._refusal.append(data["text"])
            case Status(name="created" | "finished", data=data):
                self._facts.update(data)
            case Retrying():
                # What the failed request gave (an id, usage) is not part of the next one's answer.
                self._restart()
            case _:
                pass

    def response(self, history: tuple[Message, ...] = (), **facts: Any) -> Response:
        """Give the Response so far.

        Args:
            history: The messages sent; the answer is put behind them.
            facts: Fields of Response that no event carries.
        """
        finish_reason = self._facts.get("finish_reason")
        status: ResponseStatus = "in_progress"
        if finish_reason is not None:
            status = "incomplete" if finish_reason in _CUT else "completed"
        text = "".join(self._text)
        answer = (Message(role="assistant", content=text),) if text else ()
        fields: dict[str, Any] = {
            "text": text,
            "status": status,
            "finish_reason": finish_reason,
            "model": self._facts.get("model"),
            "response_id": self._facts.get("response_id"),
            "usage": self._usage,
            "reasoning": "".join(self._reasoning),
            "refusal": "".join(self._refusal) or None,
            "messages": (*history, *answer),
            "meta": self._meta,
        }
        return Response(**{**fields, **facts})
