from __future__ import annotations

from typing import Any

import pytest

from aquila.call import FunctionTool
from aquila.errors import ConfigError
from aquila.tools import Tool, tool
from aquila.tools.given import read_tools, tool_name


def look(city: str) -> str:
    """Look."""
    return city


def test_functions_tools_and_dicts_with_a_function_become_tools() -> None:
    raw = {"name": "find", "description": "Find.", "parameters": {"type": "object"}, "function": look}

    plain, made, found = read_tools([look, tool(look, name="b"), raw])

    assert isinstance(plain, Tool)
    assert isinstance(found, Tool)
    assert [tool_name(one) for one in (plain, made, found)] == ["look", "b", "find"]
    assert found.description == "Find."
    assert found.parameters == {"type": "object", "properties": {}}


def test_declarations_pass_through_untouched() -> None:
    given = [
        {"type": "web_search"},
        {"type": "function", "name": "a", "parameters": {}},
        {"type": "function", "function": {"name": "b"}},
        FunctionTool(name="c"),
    ]

    assert all(got is one for got, one in zip(read_tools(given), given, strict=True))
    assert [tool_name(one) for one in read_tools(given)] == [None, "a", "b", "c"]


@pytest.mark.parametrize(
    ("given_tools", "said"),
    [
        ([look, {"type": "function", "function": {"name": "look"}}], "two are named 'look'"),
        ([{"name": "x"}], "a dict with 'name' is no tool"),
        ([{"function": look, "retries": 2}], "unknown option 'retries'"),
        (["web_search"], "'web_search' is no tool"),
        ("web_search", "is no list"),
        (look, "is no list"),
        ({"type": "web_search"}, "is no list"),
    ],
)
def test_what_is_no_tool_is_refused(given_tools: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read_tools(given_tools)
