"""One call to a model: everything the user asked for, checked and complete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from aquila.messages import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionTool:
    """A function the model may call, as the provider is told about it."""

    name: str
    description: str = ""
    #: JSON Schema of the arguments, an object.
    parameters: Mapping[str, Any] = field(default_factory=lambda: {"type": "object", "properties": {}})
    #: True holds the model to the schema; the schema must then be strict: every property required, no others.
    strict: bool = False


#: A function, or a provider's own tool in its own shape (`{"type": "web_search"}`), which passes through untouched.
ToolSpec: TypeAlias = FunctionTool | Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSchema:
    """The shape an answer must have."""

    name: str
    #: JSON Schema; strict (every property required, no others) where the type allows it.
    schema: Mapping[str, Any]
    #: The same schema as its author wrote it, for servers that know no strict mode.
    loose_schema: Mapping[str, Any]
    #: False: the type has no strict schema (a dict with free keys), so none is demanded.
    strict: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What to ask; how it travels (address, key, clocks) is not part of it."""

    model: str
    messages: tuple[Message, ...]
    temperature: float | None = None
    top_p: float | None = None
    #: The longest answer, in tokens; None leaves it to the provider.
    max_output_tokens: int | None = None
    tools: tuple[ToolSpec, ...] = ()
    #: `auto`, `none`, `required`, a tool's name, or the provider's own object.
    tool_choice: str | Mapping[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    output: OutputSchema | None = None
    #: `{"effort": "low", ...}`.
    reasoning: Mapping[str, Any] | None = None
    #: Continues a stored response of the user's; Responses API only.
    previous_response_id: str | None = None
    #: The answer before this request, and how many of `messages` its provider knows from it; None sends them all.
    chain: tuple[str, int] | None = None
    #: True lets the provider go on without a connection; Responses API only.
    background: bool | None = None
    #: Picks up a background response instead of making one: its id, and the number of the last event that is known.
    attach: tuple[str, int | None] | None = None
    #: For the user's own records; the provider gets it only together with `store=True`.
    metadata: Mapping[str, Any] = field(default_factory=dict)
    store: bool | None = None
    service_tier: str | None = None
    #: Merged over the body last; it may replace anything.
    extra_body: Mapping[str, Any] = field(default_factory=dict)

    def answered(self, turns: Sequence[Message], *, may_call: bool = True) -> Call:
        """Continue the conversation with more turns.

        A tool the model had to call has been called, so from here on it may choose.

        Args:
            turns: What is added.
            may_call: False forbids the model to call tools.
        """
        forced = self.tool_choice not in (None, "auto", "none") and not self._allows()
        choice = "none" if not may_call else "auto" if forced else self.tool_choice
        return replace(self, messages=(*self.messages, *turns), tool_choice=choice, attach=None)

    def _allows(self) -> bool:
        return isinstance(self.tool_choice, Mapping) and self.tool_choice.get("type") == "allowed_tools"
