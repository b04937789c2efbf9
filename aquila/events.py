"""The closed union of events a run gives, in the order in which they happen.

A run is `Started`, then content and news of any kind, then exactly one of `Done` and `Failed` in a sink; iterating a
stream raises the error instead of yielding `Failed`. Match with a last `case _: pass`: a new event is no breaking
change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

from aquila.errors import AquilaError
from aquila.event_base import EventBase
from aquila.response import Response, Usage
from aquila.tool_call import ToolCall, ToolResult


@dataclass(frozen=True, slots=True)
class Started(EventBase):
    """The run has begun; nothing has been sent yet."""

    type: ClassVar[str] = "started"
    #: The run's name, the same as `Stream.ref`.
    ref: str
    #: The model asked for.
    model: str
    #: `metadata` of the call.
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Chunk(EventBase):
    """A fragment of the answer's text."""

    type: ClassVar[str] = "chunk"
    is_content: ClassVar[bool] = True
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class ReasoningChunk(EventBase):
    """A fragment of the model's reasoning, where the provider shows it."""

    type: ClassVar[str] = "reasoning_chunk"
    is_content: ClassVar[bool] = True
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class ToolCallStarted(EventBase):
    """The model has begun to call a tool; its arguments follow."""

    type: ClassVar[str] = "tool_call_started"
    is_content: ClassVar[bool] = True
    call_id: str
    name: str


@dataclass(frozen=True, slots=True)
class ToolCallChunk(EventBase):
    """A fragment of a call's arguments, which are JSON only when all of them are there: see `ToolCall`."""

    type: ClassVar[str] = "tool_call_chunk"
    is_content: ClassVar[bool] = True
    call_id: str
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Partial(EventBase):
    """The object asked for with `output=`, as far as it has come.

    `value` is one growing object, the same in every event of a run: copy what must stay as it is.
    """

    type: ClassVar[str] = "partial"
    value: Any


@dataclass(frozen=True, slots=True)
class Annotation(EventBase):
    """A source or a file the answer refers to, in the provider's own shape."""

    type: ClassVar[str] = "annotation"
    is_content: ClassVar[bool] = True
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Status(EventBase):
    """News that is no text: a refusal, a finish reason, a hosted tool at work, another model taking over."""

    type: ClassVar[str] = "status"
    name: str
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UsageUpdate(EventBase):
    """The tokens counted so far; the last one of a request is its total."""

    type: ClassVar[str] = "usage_update"
    usage: Usage

    def to_dict(self) -> dict[str, Any]:
        """Give the event as JSON-ready values."""
        return {"type": self.type, "usage": self.usage.to_dict()}


@dataclass(frozen=True, slots=True)
class Retrying(EventBase):
    """A request failed before any content came and is sent again after `delay` seconds."""

    type: ClassVar[str] = "retrying"
    attempt: int
    delay: float
    error: AquilaError

    def to_dict(self) -> dict[str, Any]:
        """Give the event as JSON-ready values."""
        return {"type": self.type, "attempt": self.attempt, "delay": self.delay, "error": str(self.error)}


@dataclass(frozen=True, slots=True)
class Resumed(EventBase):
    """The connection to a background response was lost and is picked up behind the last event that came."""

    type: ClassVar[str] = "resumed"
    response_id: str
    #: The provider's number of the last event that had come.
    sequence_number: int


@dataclass(frozen=True, slots=True)
class Unknown(EventBase):
    """A payload, or a part of one, that this version does not know; nothing is dropped silently."""

    type: ClassVar[str] = "unknown"
    is_content: ClassVar[bool] = True
    raw: Any


@dataclass(frozen=True, slots=True)
class Done(EventBase):
    """The run has ended well; `response` is what `ask` would have returned."""

    type: ClassVar[str] = "done"
    response: Response

    def to_dict(self) -> dict[str, Any]:
        """Give the event as JSON-ready values."""
        return {"type": self.type, "response": self.response.to_dict()}


@dataclass(frozen=True, slots=True)
class Failed(EventBase):
    """The run has failed; only sinks see this event."""

    type: ClassVar[str] = "failed"
    error: AquilaError

    def to_dict(self) -> dict[str, Any]:
        """Give the event as JSON-ready values."""
        return {"type": self.type, "error": type(self.error).__name__, "message": str(self.error)}


__all__ = [
    "Annotation",
    "Chunk",
    "Done",
    "Event",
    "EventBase",
    "Failed",
    "Partial",
    "ReasoningChunk",
    "Resumed",
    "Retrying",
    "Started",
    "Status",
    "ToolCall",
    "ToolCallChunk",
    "ToolCallStarted",
    "ToolResult",
    "Unknown",
    "UsageUpdate",
]

Event: TypeAlias = (
    Started
    | Chunk
    | ReasoningChunk
    | ToolCallStarted
    | ToolCallChunk
    | ToolCall
    | ToolResult
    | Partial
    | Annotation
    | Status
    | UsageUpdate
    | Retrying
    | Resumed
    | Unknown
    | Done
    | Failed
)
