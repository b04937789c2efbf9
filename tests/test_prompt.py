from __future__ import annotations

import json
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


TEXT, PICTURE = {"type": "text", "text": "hi"}, {"type": "image_url", "image_url": {"url": "data:,"}}


@pytest.mark.parametrize(
    ("prompt", "content"),
    [
        pytest.param(["hi"], [TEXT], id="a list of text"),
        pytest.param(["hi", PICTURE, "hi"], [TEXT, PICTURE, TEXT], id="text and parts"),
        pytest.param(PICTURE, [PICTURE], id="a part"),
        pytest.param({"role": "user", "content": ["hi", PICTURE]}, [TEXT, PICTURE], id="in a message"),
        pytest.param({"role": "user", "content": ("hi",)}, [TEXT], id="in a tuple"),
        pytest.param({"role": "user", "content": PICTURE}, [PICTURE], id="a part for the content"),
        pytest.param(Message(role="user", content=["hi"]), [TEXT], id="in a Message"),  # type: ignore[list-item]
    ],
)
def test_text_and_parts_are_one_message(prompt: Any, content: list[Any]) -> None:
    assert normalise(prompt) == (Message(role="user", content=content),)


def test_an_assistant_may_say_nothing_but_a_call() -> None:
    turn = {"role": "assistant", "content": None, "tool_calls": [{"id": "c"}]}

    assert [message.to_dict() for message in normalise([turn])] == [turn]


def test_instructions_that_are_there_already_are_not_said_twice() -> None:
    history = [{"role": "system", "content": "be kind"}, {"role": "user", "content": "a"}]

    assert [message.role for message in normalise(history, instructions="be kind")] == ["system", "user"]
    assert [message.role for message in normalise(history, instructions="be brief")] == [
        "system",
        "system",
        "user",
    ]


def test_items_and_the_author_of_a_turn_come_back() -> None:
    turn = Message(role="assistant", content="a", items=({"type": "message"},), provider="llm.example")

    assert normalise([turn.to_dict()]) == (turn,)


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
        ([5], None, "prompt: int is no message"),
        ([HI, "hi"], None, "prompt: content parts and messages stand side by side"),
        ([" ", ""], None, "prompt: the user's message is empty"),
        (
            {"role": "user", "content": [{"type": "text", "text": None}]},
            None,
            "prompt: the user's message is empty",
        ),
        ({"role": "user", "content": []}, None, "prompt: the user's message is empty"),
        ({"role": "user", "content": 5}, None, "prompt: content '5' is neither text nor a list"),
        ({"role": "user", "content": [5]}, None, "is neither text nor a list"),
        ({"role": "user", "content": {"text": "hi"}}, None, "is neither text nor a list"),
        ({"role": "assistant", "tool_calls": ["c"]}, None, r"prompt: tool_calls .* is no list of objects"),
        ({"role": "assistant", "tool_calls": {"id": "c"}}, None, "is no list of objects"),
        ({"role": "assistant", "items": [5]}, None, "prompt: items .* is no list of objects"),
        (None, [{"role": "robot"}], "messages: role 'robot' is unknown; use one of system,"),
        (None, [{"content": "x"}], "messages: role None is unknown"),
    ],
)
def test_what_is_no_prompt_is_named(prompt: Any, messages: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        normalise(prompt, messages=messages)


def test_new_instructions_take_the_place_of_those_of_an_earlier_call() -> None:
    messages = normalise("one", instructions="now=0")
    through_json = [json.loads(json.dumps(message.to_dict())) for message in messages]

    again = normalise("two", messages=through_json, instructions="now=1")

    assert [(message.role, message.content) for message in again] == [
        ("system", "now=1"),
        ("user", "one"),
        ("user", "two"),
    ]
    assert [message.content for message in normalise("two", messages=messages)] == ["now=0", "one", "two"]


def test_a_system_text_of_the_user_s_stays_behind_the_instructions() -> None:
    mine = {"role": "system", "content": "The house rules."}

    said = [message.content for message in normalise("hi", messages=[mine], instructions="Be kind.")]

    assert said == ["Be kind.", "The house rules.", "hi"]
