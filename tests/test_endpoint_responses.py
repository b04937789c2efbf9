from __future__ import annotations

import json
from typing import Any

import pytest

from aquila.call import Call, FunctionTool, OutputSchema
from aquila.endpoint import PROFILES, ResponsesEndpoint
from aquila.errors import ConfigError
from aquila.messages import Message

HI = Message(role="user", content="hi")
SCHEMA = OutputSchema(name="Invoice", schema={"type": "object", "strict": 1}, loose_schema={"type": "object"})
BASE = {"model": "m", "input": [{"role": "user", "content": "hi"}], "stream": True}


def body(profile: str = "generic", changes: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    endpoint = ResponsesEndpoint(PROFILES[profile], "llm.example").with_profile(
        PROFILES[profile].evolve(**(changes or {}))
    )
    sent: dict[str, Any] = json.loads(endpoint.body(Call(**{"model": "m", "messages": (HI,), **options})))
    return sent


def test_the_least_that_is_sent() -> None:
    assert body() == BASE
    assert body("openai") == {**BASE, "stream_options": {"include_obfuscation": False}}


def test_the_body_holds_what_was_asked_and_nothing_unset() -> None:
    assert body(
        messages=(Message(role="system", content="Be kind."), HI),
        temperature=0.0,
        top_p=1,
        max_output_tokens=5,
        reasoning={"effort": "low", "summary": "auto"},
        service_tier="flex",
        background=True,
        previous_response_id="resp_1",
        metadata={"id": 1},
        extra_body={"truncation": "auto", "top_p": 0.5},
    ) == {
        **BASE,
        "instructions": "Be kind.",
        "temperature": 0.0,
        "top_p": 0.5,
        "max_output_tokens": 5,
        "reasoning": {"effort": "low", "summary": "auto"},
        "service_tier": "flex",
        "background": True,
        "previous_response_id": "resp_1",
        "truncation": "auto",
    }


def test_metadata_reaches_the_provider_only_when_it_is_to_store_the_answer() -> None:
    assert body(metadata={"id": "1"}, store=True) == {**BASE, "store": True, "metadata": {"id": "1"}}
    assert body(metadata={"id": "1"}) == BASE


def test_a_server_that_keeps_nothing_is_asked_for_its_reasoning() -> None:
    assert body(store=False) == {**BASE, "store": False, "include": ["reasoning.encrypted_content"]}


@pytest.mark.parametrize(
    ("tool", "expected"),
    [
        (
            FunctionTool(name="f", description="Does.", parameters={"type": "object"}, strict=True),
            {"type": "function", "name": "f", "description": "Does.", "parameters": {"type": "object"}, "strict": True},
        ),
        (
            FunctionTool(name="f", parameters={"type": "object"}),
            {"type": "function", "name": "f", "description": "", "parameters": {"type": "object"}, "strict": False},
        ),
        (
            {"type": "function", "function": {"name": "f", "parameters": {}}},
            {"type": "function", "strict": False, "name": "f", "parameters": {}},
        ),
        (
            {"type": "function", "function": {"name": "f", "strict": True}},
            {"type": "function", "strict": True, "name": "f"},
        ),
        ({"type": "function", "name": "f", "parameters": {}}, {"type": "function", "name": "f", "parameters": {}}),
        ({"type": "web_search"}, {"type": "web_search"}),
        ({"type": "mcp", "server_label": "x"}, {"type": "mcp", "server_label": "x"}),
        ({"type": "image_generation"}, {"type": "image_generation"}),
    ],
    ids=["strict", "not strict", "nested", "nested and strict", "flat", "search", "mcp", "images"],
)  # fmt: skip
def test_tools_are_flat_and_say_whether_they_are_strict(tool: Any, expected: dict[str, Any]) -> None:
    assert body(tools=(tool,)) == {**BASE, "tools": [expected]}


def test_choice_and_parallel_calls_are_sent_with_tools_only() -> None:
    tool = {"type": "web_search"}

    assert body(tool_choice="required", parallel_tool_calls=True) == BASE
    assert body(tools=(tool,), tool_choice="f", parallel_tool_calls=True) == {
        **BASE,
        "tools": [tool],
        "tool_choice": {"type": "function", "name": "f"},
        "parallel_tool_calls": True,
    }


@pytest.mark.parametrize(
    ("mode", "strict", "schema"),
    [("strict", True, SCHEMA.schema), ("strict", False, SCHEMA.loose_schema), ("schema", True, SCHEMA.loose_schema)],
)  # fmt: skip
def test_a_server_that_knows_schemas_gets_one(mode: str, strict: bool, schema: Any) -> None:
    output = OutputSchema(
        name="Invoice", schema=SCHEMA.schema, loose_schema=SCHEMA.loose_schema, strict=strict
    )
    is_strict = strict and mode == "strict"

    assert body(changes={"output_mode": mode}, output=output) == {
        **BASE,
        "text": {"format": {"type": "json_schema", "name": "Invoice", "strict": is_strict, "schema": schema}},
    }


@pytest.mark.parametrize(
    ("mode", "facts"), [("json_object", {"text": {"format": {"type": "json_object"}}}), ("prompt", {})]
)
def test_a_server_that_knows_none_is_told_in_words(mode: str, facts: dict[str, Any]) -> None:
    sent = body(
        changes={"output_mode": mode},
        output=SCHEMA,
        messages=(Message(role="system", content="Be kind."), HI),
    )

    assert sent.pop("instructions").startswith("Be kind.\n\nAnswer with one JSON object")
    assert sent == {**BASE, **facts}


CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}
CHAT_TURNS = (
    Message(role="system", content="Be kind."),
    HI,
    Message(role="assistant", content="So.", extra={"tool_calls": [CALL, {"id": "call_2", "function": {"name": "g"}}]}),
    Message(role="tool", content="4", extra={"tool_call_id": "call_1"}),
    Message(role="tool", content="5", extra={"tool_call_id": "call_2"}),
)  # fmt: skip
CHAT_ITEMS = [
    {"role": "user", "content": "hi"},
    {"role": "assistant", "content": "So."},
    {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": '{"x":1}'},
    {"type": "function_call", "call_id": "call_2", "name": "g", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "call_1", "output": "4"},
    {"type": "function_call_output", "call_id": "call_2", "output": "5"},
]


def test_a_conversation_in_chats_shape_becomes_items() -> None:
    sent = body(messages=CHAT_TURNS)

    assert sent["input"] == CHAT_ITEMS
    assert sent["instructions"] == "Be kind."


def test_items_of_its_own_go_back_and_those_of_others_do_not() -> None:
    items = (
        {"type": "reasoning", "id": "rs", "summary": []},
        {"type": "message", "id": "m", "phase": "final_answer"},
    )
    mine = Message(role="assistant", content="So.", items=items, provider="llm.example")

    assert body(messages=(HI, mine))["input"][1:] == [dict(item) for item in items]
    assert body(messages=(HI, mine.evolve(provider="elsewhere")))["input"][1:] == [
        {"role": "assistant", "content": "So."}
    ]


def test_a_chain_sends_only_what_the_provider_does_not_know_and_the_instructions_anew() -> None:
    sent = body(messages=CHAT_TURNS, chain=("resp_2", 3), previous_response_id="resp_0")

    assert sent["previous_response_id"] == "resp_2"
    assert sent["instructions"] == "Be kind."
    assert sent["input"] == CHAT_ITEMS[4:]


def test_a_chain_without_instructions_sends_what_is_new() -> None:
    sent = body(messages=CHAT_TURNS[1:], chain=("resp_2", 2))

    assert "instructions" not in sent
    assert sent["input"] == CHAT_ITEMS[4:]


def test_a_response_of_the_users_own_is_continued_with_the_whole_of_what_they_say() -> None:
    assert body(messages=CHAT_TURNS[3:], previous_response_id="resp_1")["input"] == CHAT_ITEMS[4:]


def test_text_that_went_in_and_text_that_came_out_are_told_apart() -> None:
    part = {"type": "text", "text": "a"}
    sent = body(messages=(Message(role="user", content=[part]), Message(role="assistant", content=[part])))

    assert sent["input"] == [
        {"role": "user", "content": [{"type": "input_text", "text": "a"}]},
        {"role": "assistant", "content": [{"type": "output_text", "text": "a"}]},
    ]


def test_a_refusal_is_a_turn() -> None:
    refused = Message(role="assistant", extra={"refusal": "I won't"})

    assert body(messages=(HI, refused))["input"][1] == {
        "role": "assistant",
        "content": [{"type": "refusal", "refusal": "I won't"}],
    }


def test_what_has_no_form_in_json_is_named() -> None:
    with pytest.raises(ConfigError, match="input: cannot be sent as JSON"):
        body(messages=(Message(role="user", content="\ud83d"),))


def test_the_endpoint_says_where_it_is_and_whether_it_chains() -> None:
    endpoint = ResponsesEndpoint(PROFILES["openai"], "x")

    assert (endpoint.path, endpoint.chains) == ("/responses", True)
    assert not endpoint.with_profile(PROFILES["vllm"]).chains
    assert endpoint.decoder(Call(model="m", messages=(HI,), attach=("resp_1", 4))).resume() == ("resp_1", 4)
