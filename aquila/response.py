"""What a run returns: `Response`, its `Usage` and the history for the next turn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Generic, Literal, cast

import msgspec

from aquila.messages import Message
from aquila.rate_limits import RateLimits
from aquila.tool_call import ToolCall

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    T = TypeVar("T", default=Any)
else:
    from typing import TypeVar

    T = TypeVar("T")

Status = Literal["completed", "incomplete", "failed", "in_progress", "cancelled", "queued"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens as the provider counted them; `None` in a field means the provider did not say."""

    #: Tokens of the prompt, cached ones included.
    input_tokens: int | None = None
    #: Tokens of the answer, reasoning ones included.
    output_tokens: int | None = None
    #: Both together.
    total_tokens: int | None = None
    #: The part of `input_tokens` that came from the provider's cache.
    cached_tokens: int | None = None
    #: The part of `input_tokens` that was put into the provider's cache.
    cache_write_tokens: int | None = None
    #: The part of `output_tokens` that was reasoning.
    reasoning_tokens: int | None = None

    def to_dict(self) -> dict[str, int]:
        """Give the counts that are known."""
        return {name: value for name in self.__slots__ if (value := getattr(self, name)) is not None}

    def plus(self, other: Usage) -> Usage:
        """Add two requests' counts; what neither said stays unsaid."""
        mine, others = self.to_dict(), other.to_dict()
        return Usage(**{name: mine.get(name, 0) + others.get(name, 0) for name in mine | others})


@dataclass(frozen=True, slots=True, kw_only=True)
class Response(Generic[T]):
    """The whole answer of one run.

    From `ask` and `stream` the status is `completed` or `incomplete`; anything else is an exception. The
    `partial` of an exception is a Response too: what had arrived, with the status `in_progress`.
    """

    #: The answer's text, all chunks joined.
    text: str = ""
    #: `completed`, or `incomplete` when the model was cut (see `finish_reason`).
    status: Status = "completed"
    #: `stop`, `length`, `content_filter`, `tool_calls`, or what else the provider said; None if it said nothing.
    finish_reason: str | None = None
    #: The model as the provider names it, which may differ from the one asked for.
    model: str | None = None
    #: The provider's id of the answer.
    response_id: str | None = None
    #: The provider's id of the HTTP request, to quote in a support ticket.
    request_id: str | None = None
    #: Tokens; None when the provider sent no usage, which is not the same as zero.
    usage: Usage | None = None
    #: Reasoning text, where the provider shows it.
    reasoning: str = ""
    #: Why the model refused, where the provider says so in a field of its own.
    refusal: str | None = None
    #: The object asked for with `output=`. None without it, and where the answer calls tools that are the caller's to run.
    parsed: T = cast("T", None)  # noqa: RUF009 - a plain None
    #: Every tool the model called, in order; those it called for the caller to run are the last ones.
    tool_calls: tuple[ToolCall, ...] = ()
    #: What the provider says went wrong, in its own shape; only stored responses carry it, elsewhere it is an exception.
    error: Mapping[str, Any] | None = None
    #: Sources and files the answer refers to, in the provider's own shape.
    annotations: tuple[Mapping[str, Any], ...] = ()
    #: The conversation including this answer, valid as `messages=` of the next turn.
    messages: tuple[Message, ...] = field(default=(), repr=False)
    #: The `metadata` given to the call.
    meta: Mapping[str, Any] = field(default_factory=dict)
    #: HTTP requests this answer took, retries and rounds of tools included.
    attempts: int = 1
    #: What the provider says of its limits, with the last answer; None if it says nothing.
    rate_limits: RateLimits | None = None
    #: Seconds from the start of the run to the first content; None when there was none.
    time_to_first_chunk: float | None = None
    #: Seconds from the start of the run to its end.
    elapsed: float | None = None
    #: The wire payloads in order, undecoded: see `raw`.
    payloads: tuple[bytes, ...] = field(default=(), repr=False)

    @property
    def raw(self) -> list[Any]:
        """The provider's payloads in order, decoded on each access; one that is no JSON is text."""
        return [_decode(payload) for payload in self.payloads]

    def evolve(self, **changes: Any) -> Response[T]:
        """Copy this Response with some fields changed."""
        return replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Give everything but the wire payloads and the parsed object as JSON-ready values."""
        return {
            "text": self.text,
            "status": self.status,
            "finish_reason": self.finish_reason,
            "model": self.model,
            "response_id": self.response_id,
            "request_id": self.request_id,
            "usage": self.usage.to_dict() if self.usage else None,
            "reasoning": self.reasoning,
            "refusal": self.refusal,
            "tool_calls": [_untyped(call.to_dict()) for call in self.tool_calls],
            "error": dict(self.error) if self.error else None,
            "annotations": [dict(annotation) for annotation in self.annotations],
            "messages": [message.to_dict() for message in self.messages],
            "meta": dict(self.meta),
            "attempts": self.attempts,
            "rate_limits": asdict(self.rate_limits) if self.rate_limits else None,
            "time_to_first_chunk": self.time_to_first_chunk,
            "elapsed": self.elapsed,
        }

    def __str__(self) -> str:
        return self.text


def _untyped(event: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name != "type"}


def _decode(payload: bytes) -> Any:
    try:
        return msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return payload.decode("utf-8", "replace")
