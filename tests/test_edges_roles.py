"""Servers that take a tool's result in one form only, over a real socket: the other form is tried, once, and remembered."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

import aquila
from aquila import errors
from tests import wire
from tests.deciding import bad, deciding
from tests.fault_server import QUICK, Chat, Reply, reply
from tests.wire import Server


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def roles(server: Server, number: int) -> list[str]:
    return [message["role"] for message in server.connections[number].payload["messages"]]


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
