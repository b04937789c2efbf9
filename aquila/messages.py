"""The conversation: `Message`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

Role = Literal["system", "developer", "user", "assistant", "tool"]
#: Text, or a list of content parts: made by `aquila.image` and its like, or in a provider's own shape.
Content: TypeAlias = str | list[dict[str, Any]] | None

#: The author of the turn that `instructions=` makes, which later instructions replace.
INSTRUCTIONS = "instructions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: Content = None
    #: Other fields of the message (`name`, `tool_calls`, `tool_call_id`, ...), in the shape of Chat Completions.
    extra: Mapping[str, Any] = field(default_factory=dict)
    #: The turn as items of the Responses API, where it came from there; its author gets them back as they were.
    items: tuple[Mapping[str, Any], ...] = ()
    #: The provider who wrote the turn, and alone understands its unusual fields; `instructions` for the text of that
    #: option; None for a turn of the user's.
    provider: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give the message as JSON-ready values that `messages=` accepts again: the shape of Chat Completions."""
        origin = {"provider": self.provider} if self.provider else {}
        items = {"items": [dict(item) for item in self.items]} if self.items else {}
        return {"role": self.role, "content": self.content, **self.extra, **items, **origin}

    def evolve(self, **changes: Any) -> Message:
        """Copy this message with some fields changed."""
        return replace(self, **changes)
