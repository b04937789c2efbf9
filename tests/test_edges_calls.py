"""Calls of tools at their edges, through whole runs: rare shapes, calls that cannot be run, tools that misbehave."""

from __future__ import annotations

import json
from typing import Any

import pytest

import aquila
from aquila.events import ToolCall, ToolResult
from tests import responses_wire, wire
from tests.fault_server import Responses, misbehave, reply

END = (wire.delta(finish="tool_calls"), wire.DONE)


def function(arguments: Any = None, name: str | None = "f", **facts: Any) -> dict[str, Any]:
    """A fragment of a call."""
    inner = {"name": name, "arguments": arguments}
    return {**facts, "function": {key: value for key, value in inner.items() if value is not None}}


def calls(*fragments: dict[str, Any], **facts: Any) -> bytes:
    """A chunk with fragments of calls."""
    return wire.delta(tool_calls=list(fragments), **facts)


def run_of(ran: list[Any]) -> list[Any]:
    """Tools that note what they are called with."""

    def f(x: int = 0, y: int = 0) -> str:
        ran.append((x, y))
        return str(x + y)

    def g() -> str:
        ran.append("g")
        return "g!"

    return [f, g]


ONE = [(1, 2)]
TWO = [(1, 0), (2, 0)]
SHAPES = [
    pytest.param([calls(function('{"x": 1}')), calls(function('{"x": 2}')), *END], TWO, id="two without number and id"),
    pytest.param([calls(function('{"x": 1,', id="a")), calls(function('"y": 2}', None)), *END], ONE,
                 id="a fragment without number and id"),
    pytest.param([calls(function('{"x": 1}', index=2, id="b")), calls(function('{"x": 2}', index=0, id="a")), *END], TWO,
                 id="numbers that go down"),
    pytest.param([calls(function('{"x": 1}', id="a"), function('{"x": 2}', id="b")), *END], TWO,
                 id="two in one chunk without numbers"),
    pytest.param([calls(function('{"x": 1}', index=0)), calls(function('{"x": 2}', index=1)), *END], TWO,
                 id="two without ids"),
    pytest.param([calls(function('{"x": 1}', index=0, id="a")), wire.delta("", finish="tool_calls"),
                  calls(function("", None, index=0)), wire.DONE], [(1, 0)], id="an empty fragment behind the finish reason"),
]  # fmt: skip


@pytest.mark.parametrize(("chunks", "expected"), SHAPES)
async def test_a_call_is_run_once_whatever_it_looks_like(chunks: list[bytes], expected: list[Any]) -> None:
    ran: list[Any] = []

    async with misbehave(reply(*chunks), reply(*wire.answer("Done"))) as server:
        answer = await aquila.ask("hi", base_url=server.url, tools=run_of(ran), retry=0, parallel_tools=1)

    assert (answer.text, answer.attempts, ran) == ("Done", 2, expected)
    _, turn, *results = server.connections[1].payload["messages"]
    ids = [call["id"] for call in turn["tool_calls"]]
    assert [result["tool_call_id"] for result in results] == ids
    assert len(set(ids)) == len(ids) == len(expected)
    assert all(ids)
    for call in turn["tool_calls"]:
        assert call["type"] == "function"
        assert isinstance(json.loads(call["function"]["arguments"]), dict)


BAD = [
    pytest.param(function('{"x": ', index=0, id="a"), "JSON", id="arguments that are no JSON"),
    pytest.param(function('{"x": "one"}', index=0, id="a"), "x", id="an argument of a wrong type"),
    pytest.param(function('{"z": 1}', index=0, id="a"), "z", id="an argument nobody knows"),
    pytest.param(function("{}", "nosuch", index=0, id="a"), "nosuch", id="a tool nobody knows"),
]


@pytest.mark.parametrize(("fragment", "says"), BAD)
async def test_a_call_that_cannot_be_run_is_told_to_the_model_and_its_neighbour_runs(
    fragment: dict[str, Any], says: str
) -> None:
    ran: list[Any] = []
    chunks = [calls(fragment, function("{}", "g", index=1, id="b")), *END]

    async with misbehave(reply(*chunks), reply(*wire.answer("Sorry"))) as server:
        events = [event async for event in aquila.stream("hi", base_url=server.url, tools=run_of(ran))]

    results = [event for event in events if isinstance(event, ToolResult)]
    assert [(result.call_id, result.status) for result in results] == [("a", "error"), ("b", "ok")]
    assert says in results[0].output
    assert "Traceback" not in results[0].output
    assert ran == ["g"]
    _, turn, *told = server.connections[1].payload["messages"]
    assert [message["content"] for message in told] == [result.output for result in results]
    # The next request must be one that every server can read.
    assert all(isinstance(json.loads(call["function"]["arguments"]), dict) for call in turn["tool_calls"])


class Odd(BaseException):
    """No usual failure."""


async def test_whatever_a_tool_raises_or_gives_the_run_goes_on() -> None:
    def raises() -> str:
        raise Odd("secret frame")

    def gives() -> Any:
        return object()

    names = ["raises", "gives"]
    chunks = [calls(*(function("{}", name, index=n, id=name) for n, name in enumerate(names))), *END]

    async with misbehave(reply(*chunks), reply(*wire.answer("Sorry"))) as server:
        answer = await aquila.ask("hi", base_url=server.url, tools=[raises, gives])

    assert answer.text == "Sorry"
    told = [message["content"] for message in server.connections[1].payload["messages"][2:]]
    assert len(told) == 2
    assert not any("Traceback" in text or "line " in text for text in told)


async def test_a_tool_that_fails_once_is_called_again() -> None:
    tries = iter([ValueError("transient failure")])

    def flaky() -> str:
        if (trouble := next(tries, None)) is not None:
            raise trouble
        return "42"

    again = [reply(calls(function("{}", "flaky", index=0, id=call_id)), *END) for call_id in ("a", "b")]

    async with misbehave(*again, reply(*wire.answer("42"))) as server:
        answer = await aquila.ask("hi", base_url=server.url, tools=[flaky])

    told = [m["content"] for m in server.connections[2].payload["messages"] if m["role"] == "tool"]
    assert answer.text == "42"
    assert "transient failure" in told[0]
    assert told[1] == "42"


RESPONSES_SHAPES = [
    pytest.param({"delta": True, "done": True, "item": True}, id="told three times"),
    pytest.param({"delta": False, "done": True, "item": True}, id="no fragments"),
    pytest.param({"delta": True, "done": False, "item": True}, id="whole in the item alone"),
    pytest.param({"delta": True, "done": True, "item": False}, id="the item never done"),
    pytest.param({"delta": False, "done": False, "item": False}, id="only in the last event"),
]


@pytest.mark.parametrize("told", RESPONSES_SHAPES)
async def test_a_call_of_the_responses_api_is_run_once_however_often_it_is_told(
    told: dict[str, bool],
) -> None:
    ran: list[Any] = []
    item = responses_wire.call("call_1", "f", {"x": 1, "y": 2})
    keep = {
        "response.function_call_arguments.delta": told["delta"],
        "response.function_call_arguments.done": told["done"],
        "response.output_item.done": told["item"],
    }
    chunks = [chunk for chunk in responses_wire.calls(item) if keep.get(chunk.split()[1].decode(), True)]

    async with misbehave(reply(*chunks), reply(*Responses.answer("Done"))) as server:
        events = [
            event
            async for event in aquila.stream(
                "hi", base_url=server.url, endpoint="responses", tools=run_of(ran), store=False
            )
        ]

    assert ran == ONE
    assert [event.call_id for event in events if isinstance(event, ToolCall)] == ["call_1"]
    items = server.connections[1].payload["input"]
    assert [each["type"] for each in items if "type" in each and each["type"] != "message"] == [
        "function_call", "function_call_output",
    ]  # fmt: skip
    assert items[-1] == {"type": "function_call_output", "call_id": "call_1", "output": "3"}
