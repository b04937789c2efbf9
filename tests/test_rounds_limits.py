"""How a run ends whose model goes on calling tools."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import aquila
from aquila import errors
from aquila.events import Event, Status, ToolResult
from aquila.tools import Tool, tool
from tests.fault_server import BOTH, Api
from tests.rounds import bodies, events_of, scripted

both = pytest.mark.parametrize("api", BOTH, ids=lambda api: api.endpoint)


def counting(ran: list[int]) -> Tool[..., Any]:
    def go(n: int = 0) -> str:
        ran.append(n)
        return f"gone {n}"

    return tool(go)


def call(api: Api, number: int) -> list[bytes]:
    return api.calls((f"c{number}", "go", f'{{"n": {number}}}'))


def stops(events: list[Event]) -> list[Any]:
    return [event.data["reason"] for event in events if isinstance(event, Status) and event.name == "tools_stopped"]  # fmt: skip


def results(events: list[Event]) -> list[ToolResult]:
    return [event for event in events if isinstance(event, ToolResult)]


@both
async def test_after_the_last_round_the_model_must_answer_without_tools(api: Api) -> None:
    ran: list[int] = []
    transport = scripted(*(call(api, number) for number in (1, 2, 3)), api.answer("enough"))
    stream = aquila.stream(
        "hi", transport=transport, endpoint=api.endpoint, tools=[counting(ran)], max_rounds=2
    )

    events = await events_of(stream)

    assert (ran, stops(events)) == ([1, 2], ["2 rounds of calls have run (max_rounds)"])
    assert results(events)[-1].output == "not run: 2 rounds of calls have run (max_rounds)"
    assert [body.get("tool_choice") for body in bodies(transport)] == [None, None, None, "none"]
    assert api.outputs(bodies(transport)[3])[-1][0] == "c3"
    assert ((await stream).text, (await stream).attempts) == ("enough", 4)


@both
async def test_a_model_that_calls_although_it_must_not_ends_the_run(api: Api) -> None:
    ran: list[int] = []
    transport = scripted(*(call(api, number) for number in range(1, 9)))

    with pytest.raises(errors.ToolRoundsExceeded, match="max_rounds") as caught:
        await aquila.ask("hi", transport=transport, endpoint=api.endpoint, tools=[counting(ran)], max_rounds=2)  # fmt: skip

    assert caught.value.partial is not None
    roles = [message.role for message in caught.value.partial.messages]
    assert roles == ["user", *["assistant", "tool"] * 3, "assistant"]
    assert (ran, caught.value.attempts, len(transport.requests), transport.open) == ([1, 2], 4, 4, 0)


@both
async def test_a_run_may_give_up_instead_of_asking_for_an_answer(api: Api) -> None:
    ran: list[int] = []
    transport = scripted(*(call(api, number) for number in (1, 2, 3)))

    with pytest.raises(errors.ToolRoundsExceeded):
        await aquila.ask(
            "hi",
            transport=transport,
            endpoint=api.endpoint,
            tools=[counting(ran)],
            max_rounds=2,
            on_max_rounds="raise",
        )

    assert (ran, len(transport.requests)) == ([1, 2], 3)


@both
async def test_the_conversation_of_a_run_that_was_given_up_goes_on(api: Api) -> None:
    options: dict[str, Any] = {"endpoint": api.endpoint, "tools": [counting([])]}
    with pytest.raises(errors.ToolRoundsExceeded) as caught:
        await aquila.ask(
            "hi", transport=scripted(call(api, 1), call(api, 2)), max_rounds=1, on_max_rounds="raise", **options
        )  # fmt: skip
    transport = scripted(api.answer("ok"))

    assert caught.value.partial is not None
    await aquila.ask("and?", messages=caught.value.partial.messages, transport=transport, **options)

    assert [call_id for call_id, _ in api.outputs(bodies(transport)[0])] == ["c1", "c2"]


@both
async def test_the_same_calls_are_warned_of_at_the_third_time_and_stopped_at_the_fifth(api: Api) -> None:
    ran: list[int] = []
    transport = scripted(*[call(api, 1)] * 5, api.answer("enough"))

    events = await events_of(
        aquila.stream("hi", transport=transport, endpoint=api.endpoint, tools=[counting(ran)])
    )

    outputs = [result.output for result in results(events)]
    assert outputs[:2] == ["gone 1", "gone 1"]
    assert ["called 3 times in a row" in outputs[2], "called 4 times in a row" in outputs[3]] == [True, True]
    assert outputs[4].startswith("not run: the same calls came 5 times in a row")
    assert (len(ran), len(stops(events))) == (4, 1)
    assert bodies(transport)[5]["tool_choice"] == "none"


def raises() -> str:
    raise ValueError("out of paper")


def never(n: int) -> None:
    raise AssertionError(n)


@both
@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda number: ("go", f'{{"x": {number}}}'), id="wrong arguments"),
        pytest.param(lambda _: ("go", "{}"), id="a tool that raises"),
        pytest.param(lambda number: (f"tool_{number}", "{}"), id="unknown tools"),
        pytest.param(lambda _: ("never", '{"n"'), id="no JSON"),
    ],
)
async def test_three_rounds_in_which_everything_failed_are_the_last(
    api: Api, make: Callable[[int], tuple[str, str]]
) -> None:
    calls = [api.calls((f"c{number}", *make(number))) for number in (1, 2, 3)]
    transport = scripted(*calls, api.answer("I cannot"))
    stream = aquila.stream(
        "hi", transport=transport, endpoint=api.endpoint, tools=[tool(raises, name="go"), never]
    )

    events = await events_of(stream)

    assert [result.status for result in results(events)] == ["error"] * 3
    assert stops(events) == ["every call of 3 rounds in a row has failed"]
    assert bodies(transport)[3]["tool_choice"] == "none"
    assert (await stream).text == "I cannot"


@both
async def test_one_success_among_failures_lets_the_run_go_on(api: Api) -> None:
    rounds = [api.calls((f"a{n}", "bad", "{}"), (f"b{n}", "go", f'{{"n": {n}}}')) for n in range(4)]
    transport = scripted(*rounds, api.answer("ok"))
    ran: list[int] = []

    answer = await aquila.ask(
        "hi", transport=transport, endpoint=api.endpoint, tools=[counting(ran), tool(raises, name="bad")]
    )

    assert (answer.text, ran) == ("ok", [0, 1, 2, 3])
