"""All that a run needs to know before it begins: `Plan`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from aquila.call import Call
from aquila.destination import Destination
from aquila.endpoint import Endpoint
from aquila.response import Usage
from aquila.tool_call import ToolCall

if TYPE_CHECKING:
    # Both need pydantic, which a call without tools and without `output=` does without.
    from aquila.output import Shape
    from aquila.tools import Toolbox


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolRules:
    """How a run deals with the model's calls of tools."""

    tools: Toolbox
    #: Batches of calls that are run before the model must answer.
    max_rounds: int = 12
    #: What happens then: `answer` asks once more, without tools; `raise` gives up at once.
    on_max_rounds: str = "answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """Calls that a person has decided on; a resumed run begins with them."""

    calls: tuple[ToolCall, ...]
    #: Reasons by the ids of calls that must not run.
    denied: Mapping[str, str]
    #: The number of the round that was paused, from 1.
    round: int = 1
    #: Tokens of the run before it was paused.
    usage: Usage | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that a run needs to know."""

    ref: str
    call: Call
    endpoint: Endpoint
    destination: Destination
    #: The first request's body, built early so that what cannot be written is told to who wrote it; empty is built late.
    body: bytes = field(default=b"", repr=False)
    rules: ToolRules | None = None
    shape: Shape[Any] | None = None
    pending: Pending | None = None
    #: Who takes over, in this order, when this one fails before its first content.
    fallbacks: tuple[Plan, ...] = ()

    def evolve(self, **changes: Any) -> Plan:
        """Copy this plan with some fields changed."""
        return replace(self, **changes)
