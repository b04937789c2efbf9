"""What may stand in `tools=`: functions, tools, and a provider's own, told apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from aquila.call import FunctionTool, ToolSpec
from aquila.errors import ConfigError
from aquila.tools.declare import Tool, tool

_OPTIONS = frozenset({
    "description", "function", "name", "needs_approval", "parameters", "repeatable", "strict", "timeout",
})  # fmt: skip
_WANTED = "give functions, aquila.tool(...), or dicts with a type or a function"


def read_tools(given: Iterable[Any]) -> tuple[Tool[..., Any] | ToolSpec, ...]:
    """Make tools of functions and of `{"name", "function", ...}`, and pass declarations through untouched.

    Raises:
        ConfigError: Something is no tool, or two tools have one name.
    """
    if isinstance(given, str | Mapping | Tool) or not isinstance(given, Iterable):
        raise ConfigError(f"tools={given!r} is no list; {_WANTED}")
    tools = tuple(_read(item) for item in given)
    seen: set[str] = set()
    for name in filter(None, map(tool_name, tools)):
        if name in seen:
            raise ConfigError(f"tools: two are named {name!r}; give one of them another name=")
        seen.add(name)
    return tools


def tool_name(item: Tool[..., Any] | ToolSpec) -> str | None:
    """Give the name the model calls a tool by; None for a hosted tool, which has only a type."""
    if isinstance(item, Tool | FunctionTool):
        return item.name
    function = item.get("function")
    name = function.get("name") if isinstance(function, Mapping) else item.get("name")
    return name if isinstance(name, str) else None


def _read(item: Any) -> Tool[..., Any] | ToolSpec:
    if isinstance(item, Tool | FunctionTool):
        return item
    if isinstance(item, Mapping):
        return _read_mapping(item)
    if callable(item):
        return tool(item)
    raise ConfigError(f"tools: {item!r} is no tool; {_WANTED}")


def _read_mapping(item: Mapping[str, Any]) -> Tool[..., Any] | Mapping[str, Any]:
    function = item.get("function")
    if callable(function):
        # A definition in the provider's shape says type "function" as well, which adds nothing.
        options = {key: value for key, value in item.items() if key not in {"function", "type"}}
        unknown = sorted(set(options) - _OPTIONS)
        if unknown:
            raise ConfigError(
                f"tools: unknown option {unknown[0]!r} beside function; the options are {', '.join(sorted(_OPTIONS))}"
            )
        return tool(function, **options)
    if isinstance(item.get("type"), str):
        return item
    raise ConfigError(f"tools: a dict with {', '.join(map(repr, item)) or 'nothing'} is no tool; {_WANTED}")
