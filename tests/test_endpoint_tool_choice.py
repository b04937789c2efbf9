from __future__ import annotations

from typing import Any

import pytest

from aquila.endpoint.tool_choice import chat_tool_choice, responses_tool_choice

FLAT = {"type": "function", "name": "f"}
NESTED = {"type": "function", "function": {"name": "f"}}
FLAT_ALLOWED = {"type": "allowed_tools", "mode": "auto", "tools": [FLAT, {"type": "web_search"}]}
NESTED_ALLOWED = {
    "type": "allowed_tools",
    "allowed_tools": {"mode": "auto", "tools": [NESTED, {"type": "web_search"}]},
}


@pytest.mark.parametrize(
    ("choice", "chat", "responses"),
    [
        (None, None, None),
        ("auto", "auto", "auto"),
        ("none", "none", "none"),
        ("required", "required", "required"),
        ("f", NESTED, FLAT),
        (FLAT, NESTED, FLAT),
        (NESTED, NESTED, FLAT),
        ({"type": "web_search"}, {"type": "web_search"}, {"type": "web_search"}),
        (FLAT_ALLOWED, NESTED_ALLOWED, FLAT_ALLOWED),
        (NESTED_ALLOWED, NESTED_ALLOWED, FLAT_ALLOWED),
    ],
)
def test_every_choice_has_its_shape_in_both_apis(choice: Any, chat: Any, responses: Any) -> None:
    assert chat_tool_choice(choice) == chat
    assert responses_tool_choice(choice) == responses
