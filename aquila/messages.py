"""The conversation: `Message`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

Role = Literal["system", "developer", "user", "assistant", "tool"]
#: Text, or a list of content parts in the provider's own shape, which pass through untouched.
Content: TypeAlias = str | list[dict[str, Any]] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: Content = None
    #: Other fields of the message (`name`, `tool_calls`, ...), sent back to the provider as they came.
    extra: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Give the message in the shape of the Chat Completions API."""
        return {"role": self.role, "content": self.content, **self.extra}
