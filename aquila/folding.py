"""From events to the Response they make. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from aquila.events import Annotation, Chunk, Event, ReasoningChunk, Retrying, Started, Status, UsageUpdate
from aquila.messages import Message
from aquila.response import Response, Usage
from aquila.response import Status as ResponseStatus
from aquila.tool_call import ToolCall

_CUT = {"length", "content_filter"}


def fold(events: Iterable[Event]) -> Response:
    """Make the Response that the events of one run amount to."""
    folder = Folder()
    folder.add_all(events)
    return folder.response()


class Spent(Protocol):
    """What a run had done before it was paused."""

    @property
    def usage(self) -> Usage | None:
        """The tokens so far."""

    @property
    def calls(self) -> Sequence[ToolCall]:
        """The calls it was paused over."""


class Folder:
    """Gathers a run's events; `response` may be asked at any time for what there is so far.

    A run may take several answers, one before each round of tools: text and finish reason are those of the last one,
    tokens, calls and reasoning those of all.
    """

    __slots__ = (
        "_annotations", "_aside", "_before", "_calls", "_facts", "_meta", "_reasoning", "_refusal", "_text", "_usage",
    )  # fmt: skip

    def __init__(self, before: Spent | None = None) -> None:
        self._meta: Mapping[str, Any] = {}
        self._before = before.usage if before is not None else None
        self._reasoning: list[str] = []
        self._calls: list[ToolCall] = list(before.calls) if before is not None else []
        self._restart()

    def _restart(self) -> None:
        self._text: list[str] = []
        self._aside: list[str] = []
        self._refusal: list[str] = []
        self._annotations: list[Mapping[str, Any]] = []
        self._usage: Usage | None = None
        self._facts: dict[str, Any] = {}

    def add_all(self, events: Iterable[Event]) -> None:
        """Take the events of a read."""
        for event in events:
            # What nearly every event is stays free of calls.
            if type(event) is Chunk:
                self._text.append(event.text)
            else:
                self.add(event)

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
            case ToolCall():
                self._calls.append(event)
            case Annotation(data=data):
                self._annotations.append(data)
            case Started(meta=meta):
                self._meta = meta
            case Status() | Retrying():
                self._note(event)
            case _:
                pass

    def _note(self, status: Status | Retrying) -> None:
        if isinstance(status, Retrying):
            # What the failed request gave (an id, usage) is not part of the next one's answer.
            self._restart()
        elif status.name in {"created", "finished"}:
            self._facts.update(status.data)
        elif status.name == "refusal":
            self._refusal.append(status.data["text"])
        elif status.name == "commentary":
            self._aside.append(status.data["text"])
        elif status.name == "round":
            self._before = self.usage
            self._restart()
        elif status.name == "fallback":
            self._restart()

    @property
    def usage(self) -> Usage | None:
        """The tokens of all answers so far; None if none were counted."""
        if self._before is None or self._usage is None:
            return self._usage or self._before
        return self._before.plus(self._usage)

    @property
    def text(self) -> str:
        """The text of the present answer; what the model said about its work counts if it said nothing else."""
        return "".join(self._text or self._aside)

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the provider said of the present answer: `response_id`, `model`, `finish_reason`."""
        return self._facts

    def response(self, messages: tuple[Message, ...] | None = None, **facts: Any) -> Response:
        """Give the Response so far.

        Args:
            messages: The conversation with the answer; None makes one of the answer alone.
            facts: Fields of Response that no event carries, or that are known better than from events.
        """
        finish_reason = self._facts.get("finish_reason")
        status: ResponseStatus = "in_progress"
        if finish_reason is not None:
            status = self._facts.get("status") or ("incomplete" if finish_reason in _CUT else "completed")
        text = self.text
        answer = (Message(role="assistant", content=text),) if text else ()
        fields: dict[str, Any] = {
            "text": text,
            "status": status,
            "finish_reason": finish_reason,
            "model": self._facts.get("model"),
            "response_id": self._facts.get("response_id"),
            "usage": self.usage,
            "reasoning": "".join(self._reasoning),
            "refusal": "".join(self._refusal) or None,
            "tool_calls": tuple(self._calls),
            "annotations": tuple(self._annotations),
            "messages": answer if messages is None else messages,
            "meta": self._meta,
        }
        return Response(**{**fields, **facts})
