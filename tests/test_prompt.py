from __future__ import annotations

from typing import Any

import pytest

from aquila.errors import ConfigError
from aquila.messages import Message
from aquila.prompt import normalise

HI = Message(role="user", content="hi")


@pytest.mark.parametrize(
    "prompt",
    [
        pytest.param("hi", id="text"),
        pytest.param(HI, id="a message"),
        pytest.param({"role": "user", "content": "hi"}, id="a dict"),
        pytest.param([HI], id="a list of messages"),
        pytest.param(iter([{"role": "user", "content": "hi"}]), id="an iterator of dicts"),
    ],
)
def test_every_form_of_a_prompt_is_one_message(prompt: Any) -> None:
    assert normalise(prompt) == (HI,)


def test_instructions_come_first_then_the_conversation_then_the_prompt() -> None:
    history = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]

    roles = [message.role for message in normalise("c", messages=history, instructions="be kind")]

    assert roles == ["system", "user", "assistant", "user"]


def test_unknown_fields_of_a_message_are_sent_back_as_they_came() -> None:
    wire = {"role": "assistant", "content": None, "tool_calls": [{"id": "c"}], "reasoning_content": "hm"}

    assert normalise([wire])[0].to_dict() == wire


@pytest.mark.parametrize(
    ("prompt", "messages", "says"),
    [
        (None, None, "nothing to send"),
        ("  ", None, "prompt: the user's message is empty"),
        ([{"role": "user"}], None, "prompt: the user's message is empty"),
        (5, None, "prompt: int is no prompt"),
        (b"hi", None, "prompt: bytes is no prompt"),
        (["hi"], None, "prompt: str is no message"),
        (None, [{"role": "robot"}], "messages: role 'robot' is unknown; use one of system,"),
        (None, [{"content": "x"}], "messages: role None is unknown"),
    ],
)
def test_what_is_no_prompt_is_named(prompt: Any, messages: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        normalise(prompt, messages=messages)
