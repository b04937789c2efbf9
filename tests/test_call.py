from __future__ import annotations

import pytest

from aquila.call import Call
from aquila.messages import Message

HELLO = Message(role="user", content="hi")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, None),
        ("auto", "auto"),
        ("none", "none"),
        ("required", "auto"),
        ("weather", "auto"),
        ({"type": "function", "name": "weather"}, "auto"),
        ({"type": "allowed_tools", "tools": []}, {"type": "allowed_tools", "tools": []}),
    ],
)
def test_a_tool_that_had_to_be_called_is_forced_once(before: object, after: object) -> None:
    call = Call(model="m", messages=(HELLO,), tool_choice=before)  # type: ignore[arg-type]

    assert call.answered([HELLO]).tool_choice == after


def test_an_end_of_tools_forbids_them() -> None:
    call = Call(model="m", messages=(HELLO,), tool_choice="required")

    assert call.answered([], may_call=False).tool_choice == "none"


def test_turns_go_behind_the_conversation_and_an_attached_response_is_let_go() -> None:
    call = Call(model="m", messages=(HELLO,), attach=("resp_1", 3))

    again = call.answered([Message(role="tool", content="21")])

    assert [message.role for message in again.messages] == ["user", "tool"]
    assert again.attach is None
