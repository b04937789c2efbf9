"""What a run learns from a server's refusal, over a real socket: one more request for each cause, and no endless row."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from pydantic import BaseModel

import aquila
from aquila import errors
from tests import wire
from tests.fault_server import QUICK, Chat, Reply, play, refusal, reply
from tests.wire import Connection, Server


class City(BaseModel):
    """A city."""

    name: str


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def bad(message: str) -> Reply:
    return refusal("400 Bad Request", {"message": message, "type": "invalid_request_error"})


@asynccontextmanager
async def deciding(decide: Callable[[Any], Reply]) -> AsyncIterator[Server]:
    """Serve what `decide` makes of each request's payload."""

    async def handler(connection: Connection) -> None:
        await play(connection, decide(connection.payload))

    async with wire.serve(handler) as server:
        yield server


def roles(server: Server, number: int) -> list[str]:
    return [message["role"] for message in server.connections[number].payload["messages"]]


def hates_stream_options(payload: Any) -> Reply:
    return bad("Extra inputs: stream_options") if "stream_options" in payload else reply(*wire.answer("Hi"))


async def test_a_field_of_ours_that_is_refused_is_left_out_and_stays_left_out() -> None:
    async with deciding(hates_stream_options) as server:
        first = await aquila.ask("hi", base_url=server.url, retry=0)
        second = await aquila.ask("hi", base_url=server.url, retry=0)

    assert (first.attempts, second.attempts) == (2, 1)
    assert ["stream_options" in connection.payload for connection in server.connections] == [
        True,
        False,
        False,
    ]


async def test_what_one_server_teaches_says_nothing_of_another() -> None:
    async with deciding(hates_stream_options) as first, deciding(hates_stream_options) as second:
        await aquila.ask("hi", base_url=first.url)
        await aquila.ask("hi", base_url=second.url)

    assert "stream_options" in second.connections[0].payload


async def test_a_lesson_that_did_not_help_is_not_remembered() -> None:
    async with deciding(lambda _: bad("stream_options, or the weather")) as server:
        for _ in range(2):
            with pytest.raises(errors.BadRequestError):
                await aquila.ask("hi", base_url=server.url, retry=QUICK)

    assert ["stream_options" in connection.payload for connection in server.connections] == [True, False] * 2


async def test_a_recording_depends_on_nothing_that_was_sent_before(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AQUILA_CASSETTE_DIR", str(tmp_path))
    monkeypatch.setenv("AQUILA_CASSETTES", "once")

    async with deciding(hates_stream_options) as server:
        client = aquila.Client(base_url=server.url, retry=QUICK)
        before = await client.ask("hi")
        recorded = await client.ask("hi", cassette="recorded")
    monkeypatch.setenv("AQUILA_CASSETTES", "none")
    replayed = await aquila.ask("hi", base_url=server.url, retry=QUICK, cassette="recorded")

    assert (before.attempts, recorded.attempts, replayed.attempts) == (2, 2, 2)
    assert len(server.connections) == 4


async def test_a_lesson_costs_no_retry() -> None:
    def decide(payload: Any) -> Reply:
        if "stream_options" in payload:
            return bad("stream_options: unknown")
        if "max_completion_tokens" not in payload:
            return bad("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
        return reply(*wire.answer("Hi"))

    async with deciding(decide) as server:
        events = [
            event async for event in aquila.stream("hi", base_url=server.url, retry=0, max_output_tokens=5)
        ]

    done = events[-1]
    assert isinstance(done, aquila.Done)
    assert (done.response.text, done.response.attempts) == ("Hi", 3)
    assert [(event.attempt, event.delay) for event in events if isinstance(event, aquila.Retrying)] == [
        (2, 0.0),
        (3, 0.0),
    ]


@pytest.mark.parametrize(
    "said",
    [
        "This model does not support 'tool'",
        "Failed to deserialize: messages[2].role: unknown variant `tool`, expected one of `system`, `user`",
        "unsupported role ROLE_TOOL",
    ],
)
async def test_a_server_without_the_tool_role_gets_every_result_so_far_as_a_function_s(said: str) -> None:
    turns = iter(
        [
            [("c1", "add", '{"a": 1, "b": 1}'), ("c2", "add", '{"a": 2, "b": 2}')],
            [("c3", "add", '{"a": 3, "b": 3}')],
        ]
    )

    def decide(payload: Any) -> Reply:
        if any(message["role"] == "tool" for message in payload["messages"]):
            return bad(said)
        calls = next(turns, None)
        return reply(*(Chat.calls(*calls) if calls else wire.answer("Done")))

    async with deciding(decide) as server:
        answer = await aquila.ask("hi", base_url=server.url, tools=[add], retry=0)

    last = server.connections[-1].payload["messages"]
    assert (answer.text, answer.attempts) == ("Done", 4)
    assert [m["role"] for m in last] == ["user", "assistant", "function", "function", "assistant", "function"]
    assert [(m["name"], m["content"]) for m in last if m["role"] == "function"] == [
        ("add", "2"), ("add", "4"), ("add", "6"),
    ]  # fmt: skip
    # What was called stays called what it was: the history is the user's, not the server's.
    assert [message.role for message in answer.messages].count("tool") == 3


async def test_a_role_is_learnt_once_for_all_rounds_and_all_runs() -> None:
    turns = iter([("c1", "add", '{"a": 1, "b": 1}'), ("c2", "add", '{"a": 1, "b": 2}')])

    def decide(payload: Any) -> Reply:
        if any(message["role"] == "tool" for message in payload["messages"]):
            return bad("does not support 'tool'")
        call = next(turns, None)
        return reply(*(Chat.calls(call) if call else wire.answer("Done")))

    async with deciding(decide) as server:
        answer = await aquila.ask("hi", base_url=server.url, tools=[add], retry=0)
        again = await aquila.ask("and?", base_url=server.url, messages=answer.messages, retry=0)

    assert (answer.attempts, again.attempts) == (4, 1)
    assert roles(server, -1).count("function") == 2


async def test_a_server_that_refuses_both_roles_is_asked_twice_and_believed() -> None:
    def decide(payload: Any) -> Reply:
        role = payload["messages"][-1]["role"]
        if role == "user":
            return reply(*Chat.calls(("c1", "add", '{"a": 1, "b": 1}')))
        return bad(f"does not support '{role}' with this model")

    async with deciding(decide) as server:
        with anyio.fail_after(5), pytest.raises(errors.BadRequestError) as caught:
            await aquila.ask("hi", base_url=server.url, tools=[add], retry=QUICK)

    assert len(server.connections) == caught.value.attempts == 3
    assert [roles(server, number)[-1] for number in range(3)] == ["user", "tool", "function"]


@pytest.mark.parametrize(
    "said",
    [
        "messages.2: `tool_use` blocks: unexpected `tool_use_id` found",
        "An assistant message must be a response to a preceeding message with 'tool_calls'",
        "tool_call_id  is not found.",
    ],
)
async def test_a_server_that_misses_results_gets_them_as_blocks(said: str) -> None:
    def decide(payload: Any) -> Reply:
        last = payload["messages"][-1]
        if last["role"] == "user":
            return reply(*Chat.calls(("toolu_1", "add", '{"a": 1, "b": 1}')))
        return bad(said) if isinstance(last["content"], str) else reply(*wire.answer("2"))

    async with deciding(decide) as server:
        answer = await aquila.ask("hi", base_url=server.url, tools=[add], retry=0)

    assert (answer.text, answer.attempts) == ("2", 3)
    assert server.connections[-1].payload["messages"][-1]["content"][0]["tool_use_id"] == "toolu_1"


async def test_a_server_that_refuses_both_forms_of_a_result_is_asked_twice_and_believed() -> None:
    def decide(payload: Any) -> Reply:
        last = payload["messages"][-1]
        if last["role"] == "user":
            return reply(*Chat.calls(("c1", "add", '{"a": 1, "b": 1}')))
        text = isinstance(last["content"], str)
        return bad("tool_call_id is not found" if text else "Invalid value: 'tool_result'")

    async with deciding(decide) as server:
        with anyio.fail_after(5), pytest.raises(errors.BadRequestError):
            await aquila.ask("hi", base_url=server.url, tools=[add], retry=QUICK)

    assert len(server.connections) == 3


@pytest.mark.parametrize(
    "said",
    [
        "Unsupported value: 'temperature' does not support 0.2 with this model.",
        "max_tokens is too large: 99999",
        "registry.ollama.ai/library/gemma:2b does not support tools",
        "This model's maximum context length is 4096 tokens",
    ],
)
async def test_a_refusal_of_what_the_user_asked_for_is_one_request(said: str) -> None:
    async with deciding(lambda _: bad(said)) as server:
        with pytest.raises(errors.BadRequestError, match=said.split(maxsplit=1)[0]):
            await aquila.ask(
                "hi", base_url=server.url, retry=QUICK, temperature=0.2, max_output_tokens=9, tools=[add]
            )

    assert len(server.connections) == 1


async def test_what_the_user_put_into_the_body_is_not_taken_out_again() -> None:
    async with deciding(hates_stream_options) as server:
        with pytest.raises(errors.BadRequestError):
            await aquila.ask(
                "hi", base_url=server.url, retry=QUICK, extra_body={"stream_options": {"include_usage": True}}
            )

    assert len(server.connections) == 1


async def test_a_server_that_refuses_every_form_is_told_in_words_and_then_believed() -> None:
    seen: list[Any] = []

    def decide(payload: Any) -> Reply:
        form = payload.get("response_format", {})
        seen.append((form.get("type"), form.get("json_schema", {}).get("strict")))
        return bad("response_format and its json_schema with strict are not supported")

    async with deciding(decide) as server:
        with anyio.fail_after(5), pytest.raises(errors.BadRequestError):
            await aquila.ask("Vienna?", base_url=server.url, output=City, retry=QUICK)

    assert seen == [("json_schema", True), ("json_schema", False), ("json_object", None), (None, None)]
    assert "name" in json.dumps(server.connections[-1].payload["messages"])


async def test_a_lesson_behind_content_is_not_learnt() -> None:
    chunks = [*Chat.said("Hel"), wire.event({"error": {"message": "stream_options: no", "code": 400}})]

    async with deciding(lambda _: reply(*chunks)) as server:
        with pytest.raises(errors.BadRequestError) as caught:
            await aquila.ask("hi", base_url=server.url, retry=QUICK)

    assert caught.value.partial is not None
    assert (caught.value.partial.text, len(server.connections)) == ("Hel", 1)
