"""What a tool may know of its run, and what it may give back besides a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from aquila.tool_call import ToolCall

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Context(Generic[T]):
    """The run, as one of its tools sees it.

    A parameter annotated with `Context` or `Context[T]` gets it; the model is told nothing of that parameter.
    """

    #: The run's `tool_context`, with the patches of earlier rounds merged in.
    value: T
    #: The call that is being answered.
    call: ToolCall
    #: The run's name, as in `Stream.ref`.
    ref: str = ""


@dataclass(frozen=True, slots=True)
class ToolOutput:
    """What a tool returns when a value alone does not say it all."""

    #: What the model is told: text, or anything that can be JSON.
    value: Any
    #: Merged into the `tool_context` once every call of the round has ended; later rounds see it. None: no change.
    context_patch: Mapping[str, Any] | None = None
    #: `error` tells the run that the call failed; the patch counts all the same.
    status: Literal["ok", "error"] = "ok"
