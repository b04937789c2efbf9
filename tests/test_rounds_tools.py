"""Tools over several rounds, on both APIs: who runs, what the model is told, and what is left when it fails."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest

import aquila
from aquila import errors
from aquila.events import Done, Status, ToolResult
from aquila.timeouts import Timeouts
from aquila.tools import Context, ToolOutput, tool
from tests import wire
from tests.fault_server import BOTH, Api, Chat
from tests.rounds import QUICK, bodies, events_of, refusal, scripted

#: The tool that runs the call `c1` and takes nothing.
GO = ("c1", "go", "{}")

both = pytest.mark.parametrize("api", BOTH, ids=lambda api: api.endpoint)


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@both
async def test_calls_of_one_answer_run_together_and_answer_in_their_order(api: Api) -> None:
    second_ran = anyio.Event()

    async def first() -> str:
        await second_ran.wait()
        return "one"

    async def second() -> str:
        second_ran.set()
        return "two"

    transport = scripted(api.calls(("c1", "first", "{}"), ("c2", "second", "{}")), api.answer("Do", "ne"))
    stream = aquila.stream("hi", transport=transport, endpoint=api.endpoint, tools=[first, second])

    with anyio.fail_after(5):
        events = await events_of(stream)

    assert [event for event in events if isinstance(event, ToolResult)] == [
        ToolResult("c1", "first", "one", "ok"),
        ToolResult("c2", "second", "two", "ok"),
    ]
    assert api.outputs(bodies(transport)[1]) == [("c1", "one"), ("c2", "two")]
    done = events[-1]
    assert isinstance(done, Done)
    assert (done.response.text, done.response.attempts, transport.open) == ("Done", 2, 0)
    assert [call.call_id for call in done.response.tool_calls] == ["c1", "c2"]


@both
async def test_tokens_of_all_rounds_are_added(api: Api) -> None:
    transport = scripted(api.calls(("c1", "add", '{"a": 1, "b": 2}')), api.answer("3"))

    answer = await aquila.ask("hi", transport=transport, endpoint=api.endpoint, tools=[add])

    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.total_tokens) == (16, 5, 21)


@both
@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        pytest.param("subtract", "{}", "unknown tool 'subtract'; the tools are: add, breaks, sleeps", id="unknown"),
        pytest.param("add", '{"a": 1, "b"', "the arguments are not a JSON object", id="no JSON"),
        pytest.param("add", '{"a": "x", "b": 2}', "a: ", id="arguments that do not fit"),
        pytest.param("breaks", "{}", "Tool failed: ValueError: out of paper", id="a tool that raises"),
        pytest.param("sleeps", "{}", "Tool failed: it took longer than 0.05 s", id="a tool that takes too long"),
    ],
)  # fmt: skip
async def test_the_model_is_told_why_a_call_failed_and_the_run_goes_on(
    api: Api, name: str, arguments: str, told: str
) -> None:
    def breaks() -> str:
        raise ValueError("out of paper")

    async def sleeps() -> None:
        await anyio.sleep(30)

    transport = scripted(api.calls(("c1", name, arguments)), api.answer("I see"))
    limits = Timeouts(tool=0.05)
    stream = aquila.stream(
        "hi", transport=transport, endpoint=api.endpoint, tools=[add, breaks, sleeps], timeout=limits
    )

    with anyio.fail_after(5):
        events = await events_of(stream)

    result = next(event for event in events if isinstance(event, ToolResult))
    assert (result.call_id, result.status) == ("c1", "error")
    assert told in result.output
    assert api.outputs(bodies(transport)[1]) == [("c1", result.output)]
    assert (await stream).text == "I see"


@both
async def test_what_a_tool_puts_into_the_context_later_rounds_see(api: Api) -> None:
    seen: list[Any] = []

    def go(ctx: Context[dict[str, int]]) -> ToolOutput:
        seen.append(dict(ctx.value))
        return ToolOutput("gone", context_patch={"steps": ctx.value["steps"] + 1})

    given = {"steps": 0}
    transport = scripted(api.calls(GO, ("c2", "go", "{}")), api.calls(("c3", "go", "{}")), api.answer("ok"))

    await aquila.ask("hi", transport=transport, endpoint=api.endpoint, tools=[go], tool_context=given)

    assert seen == [{"steps": 0}, {"steps": 0}, {"steps": 1}]
    assert given == {"steps": 0}


@both
async def test_a_tool_that_must_be_called_must_be_called_once(api: Api) -> None:
    transport = scripted(api.calls(("c1", "add", '{"a": 1, "b": 2}')), api.answer("3"))

    await aquila.ask("hi", transport=transport, endpoint=api.endpoint, tools=[add], tool_choice="add")

    first, second = (body["tool_choice"] for body in bodies(transport))
    assert first == (
        {"type": "function", "function": {"name": "add"}}
        if api is Chat
        else {"type": "function", "name": "add"}
    )
    assert second == "auto"


@both
async def test_calls_of_declared_tools_are_the_caller_s_to_run_with_all_beside_them(api: Api) -> None:
    ran: list[int] = []
    declared = {"type": "function", "function": {"name": "pay", "parameters": {"type": "object"}}}

    def go() -> None:
        ran.append(1)

    transport = scripted(api.calls(GO, ("c2", "pay", '{"sum": 5}')))

    answer = await aquila.ask("hi", transport=transport, endpoint=api.endpoint, tools=[go, declared])

    assert [(call.name, call.arguments) for call in answer.tool_calls] == [("go", {}), ("pay", {"sum": 5})]
    assert (answer.status, answer.finish_reason, answer.attempts, ran) == ("completed", "tool_calls", 1, [])


@both
async def test_a_caller_answers_a_declared_tool_in_the_next_turn(api: Api) -> None:
    declared = {"type": "function", "function": {"name": "pay", "parameters": {"type": "object"}}}
    transport = scripted(api.calls(("c2", "pay", '{"sum": 5}')), api.answer("paid"))
    options: dict[str, Any] = {"transport": transport, "endpoint": api.endpoint, "tools": [declared]}
    first = await aquila.ask("hi", **options)

    result = {"role": "tool", "tool_call_id": "c2", "content": "done"}
    second = await aquila.ask(messages=[*first.messages, result], **options)

    assert api.outputs(bodies(transport)[1]) == [("c2", "done")]
    assert second.text == "paid"


CUT_CALL = [
    wire.delta(tool_calls=[{"index": 0, "id": "c1", "function": {"name": "add", "arguments": '{"a": 1'}}]),
    wire.delta(finish="length"),
    wire.DONE,
]


async def test_a_call_that_the_token_limit_has_cut_is_nobody_s() -> None:
    transport = scripted(CUT_CALL)

    answer = await aquila.ask("hi", transport=transport, tools=[add])

    assert (answer.status, answer.finish_reason, answer.attempts) == ("incomplete", "length", 1)
    assert [(call.name, call.arguments) for call in answer.tool_calls] == [("add", None)]


async def test_a_conversation_goes_on_behind_a_call_that_was_cut() -> None:
    cut = await aquila.ask("hi", transport=scripted(CUT_CALL), tools=[add])
    transport = scripted(wire.answer("again"))

    await aquila.ask("go on", messages=cut.messages, transport=transport, tools=[add])

    assistant, result, _ = bodies(transport)[0]["messages"][1:]
    assert isinstance(json.loads(assistant["tool_calls"][0]["function"]["arguments"]), dict)
    assert (result["role"], result["tool_call_id"]) == ("tool", "c1")


@both
async def test_a_request_that_fails_between_rounds_is_repeated_and_no_tool_runs_twice(api: Api) -> None:
    ran: list[int] = []
    transport = scripted(api.calls(GO), refusal(503, "busy"), api.answer("ok"))

    answer = await aquila.ask(
        "hi",
        transport=transport,
        endpoint=api.endpoint,
        tools=[tool(lambda: ran.append(1), name="go")],
        retry=QUICK,
    )

    assert (answer.text, answer.attempts, ran) == ("ok", 3, [1])
    second, third = bodies(transport)[1:]
    assert second == third


@both
async def test_a_run_that_fails_between_rounds_keeps_its_conversation(api: Api) -> None:
    transport = scripted(api.calls(GO), refusal(400, "no"))

    with pytest.raises(errors.BadRequestError) as caught:
        await aquila.ask(
            "hi", transport=transport, endpoint=api.endpoint, tools=[tool(lambda: "gone", name="go")]
        )

    partial = caught.value.partial
    assert partial is not None
    assert [message.role for message in partial.messages] == ["user", "assistant", "tool"]
    assert (partial.usage and partial.usage.input_tokens, caught.value.attempts, transport.open) == (9, 2, 0)


async def test_the_time_a_tool_takes_is_the_source_s_fault_on_no_clock() -> None:
    async def go() -> str:
        await anyio.sleep(0.15)
        return "gone"

    limits = Timeouts(silence=0.05, first_chunk=0.05, idle=0.05)
    transport = scripted(Chat.calls(GO), wire.answer("ok"))

    assert (await aquila.ask("hi", transport=transport, tools=[go], timeout=limits)).text == "ok"


async def test_total_bounds_tools_too() -> None:
    async def go() -> None:
        await anyio.sleep(30)

    transport = scripted(Chat.calls(GO), wire.answer("ok"))

    with anyio.fail_after(3), pytest.raises(errors.TotalTimeout) as caught:
        await aquila.ask("hi", transport=transport, tools=[go], timeout=0.1)

    assert caught.value.partial is not None
    assert [message.role for message in caught.value.partial.messages] == ["user", "assistant"]
    assert (len(transport.requests), transport.open) == (1, 0)


async def test_each_round_is_announced() -> None:
    transport = scripted(Chat.calls(GO), Chat.calls(GO), wire.answer("ok"))

    events = await events_of(
        aquila.stream("hi", transport=transport, tools=[tool(lambda: "gone", name="go")])
    )

    rounds = [event.data for event in events if isinstance(event, Status) and event.name == "round"]
    assert rounds == [{"number": 2}, {"number": 3}]
