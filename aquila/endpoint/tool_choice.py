"""`tool_choice` in each API's shape: the same choices, nested in one and flat in the other. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

#: `auto`, `none`, `required`, a tool's name, or the object of either API; None leaves it to the provider.
ToolChoice: TypeAlias = str | Mapping[str, Any] | None

_MODES = (None, "auto", "none", "required")
_ALLOWED = "allowed_tools"


def chat_tool_choice(choice: ToolChoice) -> Any:
    """Give a choice in the shape of Chat Completions."""
    if isinstance(choice, Mapping):
        if choice.get("type") == _ALLOWED and "tools" in choice:
            inner = {name: value for name, value in choice.items() if name != "type"}
            return {
                "type": _ALLOWED,
                _ALLOWED: {**inner, "tools": [_nested(tool) for tool in choice["tools"]]},
            }
        return _nested(choice)
    return choice if choice in _MODES else {"type": "function", "function": {"name": choice}}


def responses_tool_choice(choice: ToolChoice) -> Any:
    """Give a choice in the shape of the Responses API."""
    if isinstance(choice, Mapping):
        inner = choice.get(_ALLOWED)
        if choice.get("type") == _ALLOWED and isinstance(inner, Mapping):
            return {"type": _ALLOWED, **inner, "tools": [_flat(tool) for tool in inner.get("tools") or ()]}
        return _flat(choice)
    return choice if choice in _MODES else {"type": "function", "name": choice}


def _nested(tool: Mapping[str, Any]) -> dict[str, Any]:
    if tool.get("type") == "function" and "name" in tool:
        return {"type": "function", "function": {"name": tool["name"]}}
    return dict(tool)


def _flat(tool: Mapping[str, Any]) -> dict[str, Any]:
    nested = tool.get("function")
    if isinstance(nested, Mapping):
        return {"type": "function", "name": nested.get("name")}
    return dict(tool)
