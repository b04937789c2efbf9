"""A model's call of a tool, and what came back: records that are events as well."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from aquila.event_base import EventBase


@dataclass(frozen=True, slots=True)
class ToolCall(EventBase):
    """The model wants a tool to be run; the call is complete."""

    type: ClassVar[str] = "tool_call"
    is_content: ClassVar[bool] = True
    #: The provider's id of the call, which its result must carry.
    call_id: str
    #: The tool's name, as the model wrote it.
    name: str
    #: What to call it with; None when the model wrote no JSON object, in which case the tool is not run.
    arguments: Mapping[str, Any] | None
    #: The arguments as the model wrote them; no text at all counts as `{}`.
    text: str = "{}"


@dataclass(frozen=True, slots=True)
class ToolResult(EventBase):
    """What a tool gave, in the words the model is told."""

    type: ClassVar[str] = "tool_result"
    call_id: str
    name: str
    #: Text, or JSON as text.
    output: str
    #: `error`: the tool did not run, raised, or took too long; `output` says which.
    status: Literal["ok", "error"] = "ok"
