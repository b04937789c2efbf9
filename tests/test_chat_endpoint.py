from __future__ import annotations

import json
from typing import Any

import pytest

from aquila.call import Call, FunctionTool, OutputSchema
from aquila.endpoint import PROFILES, ChatEndpoint
from aquila.errors import ConfigError
from aquila.messages import Message

HI = Message(role="user", content="hi")
SCHEMA = OutputSchema(name="Invoice", schema={"type": "object", "strict": 1}, loose_schema={"type": "object"})
BASE: dict[str, Any] = {
    "model": "m",
    "messages": [{"role": "user", "content": "hi"}],
    "stream": True,
    "stream_options": {"include_usage": True},
}


def body(profile: str = "generic", changes: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    endpoint = ChatEndpoint(PROFILES[profile], "llm.example").with_profile(
        PROFILES[profile].evolve(**(changes or {}))
    )
    sent: dict[str, Any] = json.loads(endpoint.body(Call(**{"model": "m", "messages": (HI,), **options})))
    return sent


def test_the_least_that_is_sent() -> None:
    assert body() == BASE


def test_the_body_holds_what_was_asked_and_nothing_unset() -> None:
    assert body(
        temperature=0.0,
        top_p=1,
        max_output_tokens=5,
        service_tier="flex",
        store=False,
        metadata={"id": 1},
        extra_body={"seed": 7, "temperature": 1},
    ) == {
        **BASE,
        "temperature": 1,
        "top_p": 1,
        "max_tokens": 5,
        "service_tier": "flex",
        "store": False,
        "seed": 7,
    }


@pytest.mark.parametrize(
    ("profile", "facts"),
    [
        ("openai", {"max_completion_tokens": 5, "stream_options": {"include_usage": True, "include_obfuscation": False}}),
        ("azure", {"max_completion_tokens": 5, "stream_options": {"include_usage": True}}),
        ("groq", {"max_completion_tokens": 5, "stream_options": {"include_usage": True}}),
        ("deepseek", {"max_tokens": 5, "stream_options": {"include_usage": True}}),
        ("mistral", {"max_tokens": 5}),
    ],
)  # fmt: skip
def test_names_and_stream_options_are_those_the_server_knows(profile: str, facts: dict[str, Any]) -> None:
    base = {name: value for name, value in BASE.items() if name != "stream_options"}

    assert body(profile, max_output_tokens=5) == {**base, **facts}


def test_metadata_reaches_the_provider_only_when_it_is_to_store_the_answer() -> None:
    assert body(metadata={"id": "1"}, store=True) == {**BASE, "store": True, "metadata": {"id": "1"}}
    assert body(metadata={"id": "1"}) == BASE


@pytest.mark.parametrize("option", [{"previous_response_id": "resp_1"}, {"background": True}])
def test_what_chat_completions_has_not_is_named(option: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(option))}: Chat Completions has no such thing"):
        body(**option)


TOOL = FunctionTool(name="f", description="Does.", parameters={"type": "object"}, strict=True)
WIRE_TOOL = {"name": "f", "parameters": {"type": "object"}, "description": "Does."}


@pytest.mark.parametrize(
    ("tool", "expected"),
    [
        (TOOL, {"type": "function", "function": {**WIRE_TOOL, "strict": True}}),
        (
            FunctionTool(name="g"),
            {
                "type": "function",
                "function": {"name": "g", "parameters": {"type": "object", "properties": {}}},
            },
        ),
        (
            {"type": "function", "name": "g", "parameters": {}, "strict": True},
            {"type": "function", "function": {"name": "g", "parameters": {}, "strict": True}},
        ),
        (
            {"type": "function", "function": {"name": "g"}},
            {"type": "function", "function": {"name": "g"}},
        ),
        ({"type": "custom", "custom": {"name": "g"}}, {"type": "custom", "custom": {"name": "g"}}),
    ],
    ids=["strict", "the least", "flat", "nested", "another type"],
)
def test_tools_are_nested(tool: Any, expected: dict[str, Any]) -> None:
    assert body(tools=(tool,)) == {**BASE, "tools": [expected]}


def test_a_server_that_knows_no_strict_tools_gets_none() -> None:
    sent = body(changes={"strict_tools": False}, tools=(TOOL,), parallel_tool_calls=False, tool_choice="f")

    assert sent == {
        **BASE,
        "tools": [{"type": "function", "function": WIRE_TOOL}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "parallel_tool_calls": False,
    }


def test_without_tools_nothing_is_said_about_them() -> None:
    assert body(tool_choice="auto", parallel_tool_calls=True) == BASE


@pytest.mark.parametrize(
    ("mode", "strict", "expected"),
    [
        ("strict", True, {"type": "json_schema", "json_schema": {"name": "Invoice", "strict": True, "schema": SCHEMA.schema}}),
        ("strict", False, {"type": "json_schema", "json_schema": {"name": "Invoice", "strict": False, "schema": SCHEMA.loose_schema}}),
        ("schema", True, {"type": "json_schema", "json_schema": {"name": "Invoice", "strict": False, "schema": SCHEMA.loose_schema}}),
    ],
)  # fmt: skip
def test_a_server_that_knows_schemas_gets_one(mode: str, strict: bool, expected: dict[str, Any]) -> None:
    output = OutputSchema(
        name="Invoice", schema=SCHEMA.schema, loose_schema=SCHEMA.loose_schema, strict=strict
    )

    assert body(changes={"output_mode": mode}, output=output) == {**BASE, "response_format": expected}


@pytest.mark.parametrize(
    ("mode", "facts"), [("json_object", {"response_format": {"type": "json_object"}}), ("prompt", {})]
)
def test_a_server_that_knows_none_is_told_in_words(mode: str, facts: dict[str, Any]) -> None:
    alone = body(changes={"output_mode": mode}, output=SCHEMA)
    spoken_to = body(
        changes={"output_mode": mode},
        output=SCHEMA,
        messages=(Message(role="system", content="Be kind."), HI),
    )

    words = alone["messages"][0]["content"]
    assert "Answer with one JSON object" in words
    assert words.endswith('{"type":"object"}')
    assert alone == {**BASE, "messages": [{"role": "system", "content": words}, *BASE["messages"]], **facts}
    assert spoken_to["messages"][0] == {"role": "system", "content": f"Be kind.\n\n{words}"}


def test_reasoning_is_said_in_the_servers_way() -> None:
    assert body(reasoning={"effort": "low"}) == {**BASE, "reasoning_effort": "low"}
    assert body("openrouter", reasoning={"effort": "low", "exclude": True}) == {
        **BASE,
        "reasoning": {"effort": "low", "exclude": True},
    }
    assert body(reasoning={}) == BASE
    with pytest.raises(ConfigError, match="knows only 'effort', not 'summary'"):
        body(reasoning={"effort": "low", "summary": "auto"})


CALLS = [
    {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}, "index": 0},
    {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
]
HISTORY = (
    HI,
    Message(
        role="assistant", content="So.", extra={"tool_calls": CALLS, "mood": "x"}, provider="llm.example"
    ),
    Message(role="tool", content="1", extra={"tool_call_id": "a"}),
    Message(role="tool", content="2", extra={"tool_call_id": "b"}),
)


def test_two_calls_are_one_turn_and_two_results() -> None:
    assert body(messages=HISTORY)["messages"] == [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "So.", "tool_calls": CALLS, "mood": "x"},
        {"role": "tool", "content": "1", "tool_call_id": "a"},
        {"role": "tool", "content": "2", "tool_call_id": "b"},
    ]


def test_another_provider_gets_what_every_server_knows() -> None:
    foreign = HISTORY[1].evolve(provider="elsewhere", items=({"type": "message"},))

    assert body(messages=(HI, foreign))["messages"][1] == {
        "role": "assistant",
        "content": "So.",
        "tool_calls": [{name: call[name] for name in ("id", "type", "function")} for call in CALLS],
    }


def test_a_server_without_the_tool_role_gets_all_results_as_functions() -> None:
    sent = body(changes={"tool_role": "function"}, messages=HISTORY)["messages"]

    assert sent[2:] == [
        {"role": "function", "name": "f", "content": "1"},
        {"role": "function", "name": "g", "content": "2"},
    ]


def test_results_of_several_parts_are_several_blocks() -> None:
    parts = [{"type": "text", "text": "1"}, {"type": "input_text", "text": "2"}]
    history = (HI, HISTORY[1], HISTORY[2].evolve(content=parts))

    sent = body(changes={"tool_content": "blocks"}, messages=history)["messages"]

    assert sent[2]["content"][0]["content"] == [
        {"type": "output_text", "text": "1"},
        {"type": "output_text", "text": "2"},
    ]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"messages": (Message(role="user", content="\ud83d"),)}, "messages: cannot be sent as JSON"),
        ({"extra_body": {"seed": object()}}, "seed: cannot be sent as JSON"),
        ({"model": "\udcff"}, "model: cannot be sent as JSON"),
    ],
)
def test_what_has_no_form_in_json_is_named(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        body(**options)


def test_the_endpoint_says_where_it_is_and_that_it_repeats_the_conversation() -> None:
    endpoint = ChatEndpoint(PROFILES["openai"], "x")

    assert (endpoint.path, endpoint.chains) == ("/chat/completions", False)
    assert endpoint.with_profile(PROFILES["groq"]) == ChatEndpoint(PROFILES["groq"], "x")
    assert not endpoint.decoder(Call(model="m", messages=(HI,))).ended
