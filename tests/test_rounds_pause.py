"""Runs that wait for a person's word, and go on here, in another Client or another process."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest

import aquila
from aquila import errors
from aquila.errors import ConfigError, Paused
from aquila.events import Event
from aquila.testing import ScriptedTransport
from aquila.tools import Context, Tool, ToolOutput, tool
from tests.fault_server import BOTH, Api, Chat
from tests.rounds import bodies, events_of, scripted

both = pytest.mark.parametrize("api", BOTH, ids=lambda api: api.endpoint)


class Shop:
    """Tools of which one needs a person's word, and what they did."""

    def __init__(self) -> None:
        self.done: list[str] = []

    @property
    def tools(self) -> list[Tool[..., Any]]:
        def look(ctx: Context[Any]) -> ToolOutput:
            self.done.append("look")
            seen = (ctx.value or {}).get("looks", 0) + 1
            return ToolOutput(f"look {seen}", context_patch={"looks": seen})

        def pay(amount: int) -> str:
            self.done.append(f"pay {amount}")
            return f"paid {amount}"

        return [tool(look), tool(pay, needs_approval=True)]


def paying(api: Api) -> list[bytes]:
    return api.calls(("c1", "look", "{}"), ("c2", "pay", '{"amount": 5}'))


async def pause(transport: ScriptedTransport, **options: Any) -> Paused:
    with pytest.raises(Paused) as caught:
        await aquila.ask("buy it", transport=transport, **options)
    return caught.value


@both
async def test_a_call_that_needs_a_word_stops_the_run_before_any_call_runs(api: Api) -> None:
    shop = Shop()
    transport = scripted(paying(api))

    paused = await pause(transport, endpoint=api.endpoint, tools=shop.tools)

    assert [(call.call_id, call.name, call.arguments) for call in paused.calls] == [
        ("c2", "pay", {"amount": 5})
    ]
    assert (shop.done, paused.attempts, transport.open) == ([], 1, 0)
    assert paused.partial is not None
    assert [message.role for message in paused.partial.messages] == ["user", "assistant"]


@both
@pytest.mark.parametrize(
    ("word", "told", "done"),
    [
        (True, "paid 5", ["look", "pay 5"]),
        (False, "declined: the user did not approve this call", ["look"]),
        ("too dear", "declined: too dear", ["look"]),
    ],
)
async def test_the_run_goes_on_with_what_the_person_said(
    api: Api, word: bool | str, told: str, done: list[str]
) -> None:
    shop = Shop()
    paused = await pause(
        scripted(paying(api)), endpoint=api.endpoint, tools=shop.tools, instructions="Be kind.", model="m"
    )
    transport = scripted(api.answer("So be it"))

    answer = await aquila.resume(
        paused.state, {"c2": word}, transport=transport, endpoint=api.endpoint, tools=shop.tools
    )

    # Calls of one round run together, each in a thread of its own.
    assert (answer.text, sorted(shop.done)) == ("So be it", done)
    assert [call.call_id for call in answer.tool_calls] == ["c1", "c2"]
    body = bodies(transport)[0]
    assert api.outputs(body) == [("c1", "look 1"), ("c2", told)]
    assert body["model"] == "m"
    roles = [message.role for message in answer.messages]
    assert roles == ["system", "user", "assistant", "tool", "tool", "assistant"]


@both
async def test_a_state_survives_json_and_another_client_goes_on_with_it(api: Api) -> None:
    shop, other = Shop(), Shop()
    transport = scripted(api.calls(("c0", "look", "{}")), paying(api))
    client = aquila.Client(transport=transport, endpoint=api.endpoint, tools=shop.tools)
    stream = client.stream("buy it", metadata={"job": 7})
    with pytest.raises(Paused) as caught:
        await stream
    state = json.loads(json.dumps(caught.value.state))
    after = scripted(api.answer("ok"))

    events = await events_of(
        aquila.Client(transport=after, endpoint=api.endpoint, tools=other.tools).resume(state, {"c2": True})
    )

    started, done = events[0], events[-1]
    assert isinstance(started, aquila.Started)
    assert isinstance(done, aquila.Done)
    assert (started.ref, started.meta, done.response.meta) == (stream.ref, {"job": 7}, {"job": 7})
    # The context has come along, and the tokens of all three requests.
    assert (shop.done, other.done) == (["look"], ["look", "pay 5"])
    assert api.outputs(bodies(after)[0])[-2:] == [("c1", "look 2"), ("c2", "paid 5")]
    assert done.response.usage is not None
    assert done.response.usage.input_tokens == 9 + 9 + 7


async def test_a_pause_pickles_and_holds_no_secret() -> None:
    paused = await pause(scripted(paying(BOTH[0])), tools=Shop().tools, api_key="sk-secret-1")

    again = pickle.loads(pickle.dumps(paused))  # noqa: S301 - our own error

    assert (again.state, again.calls, str(again)) == (paused.state, paused.calls, str(paused))
    assert "sk-secret-1" not in f"{paused} {paused.__dict__}"


@both
async def test_a_run_may_pause_again_and_its_rounds_go_on_counting(api: Api) -> None:
    shop = Shop()
    options: dict[str, Any] = {"endpoint": api.endpoint, "tools": shop.tools, "max_rounds": 2}
    first = await pause(scripted(paying(api)), **options)
    transport = scripted(api.calls(("c3", "pay", '{"amount": 6}')))
    with pytest.raises(Paused) as second:
        await aquila.resume(first.state, {"c2": True}, transport=transport, **options)
    end = scripted(api.calls(("c4", "look", "{}")), api.answer("enough"))

    answer = await aquila.resume(second.value.state, {"c3": True}, transport=end, **options)

    assert (first.state["round"], second.value.state["round"]) == (1, 2)
    # The first two run together, in threads.
    assert (answer.text, sorted(shop.done[:2]), shop.done[2:]) == ("enough", ["look", "pay 5"], ["pay 6"])
    assert bodies(end)[1]["tool_choice"] == "none"


@pytest.mark.parametrize(
    ("approvals", "says"),
    [
        ({}, r"nothing is said of 'c2' \(pay\)"),
        ({"c2": True, "c9": True}, "no call that waits has the id 'c9'"),
        ({"c2": None}, "'c2' is None; give True, False or a reason"),
    ],
)
async def test_a_word_that_cannot_be_used_is_refused_at_once(approvals: dict[str, Any], says: str) -> None:
    shop = Shop()
    paused = await pause(scripted(paying(BOTH[0])), tools=shop.tools)

    with pytest.raises(ConfigError, match=says):
        aquila.resume(paused.state, approvals, tools=shop.tools)

    assert shop.done == []


async def test_a_paused_run_needs_its_tools_to_go_on() -> None:
    paused = await pause(scripted(paying(BOTH[0])), tools=Shop().tools)

    with pytest.raises(ConfigError, match="give the tools it was started with"):
        aquila.resume(paused.state, {"c2": True})


async def test_a_sink_sees_a_pause_as_the_one_end_of_its_run() -> None:
    seen: list[Event] = []

    await pause(scripted(paying(BOTH[0])), tools=Shop().tools, sink=aquila.sink.callback(seen.append))

    last = seen[-1]
    assert isinstance(last, aquila.Failed)
    assert isinstance(last.error, Paused)
    assert sum(isinstance(event, aquila.Failed | aquila.Done) for event in seen) == 1


async def test_a_context_that_cannot_outlive_a_pause_is_named() -> None:
    with pytest.raises(ConfigError, match=r"tool_context\.when holds a object"):
        await aquila.ask(
            "hi", transport=scripted(paying(BOTH[0])), tools=Shop().tools, tool_context={"when": object()}
        )


@both
async def test_a_call_that_cannot_run_needs_no_word(api: Api) -> None:
    transport = scripted(api.calls(("c1", "pay", '{"amount": "much"}')), api.answer("sorry"))

    answer = await aquila.ask("hi", transport=transport, endpoint=api.endpoint, tools=Shop().tools)

    assert answer.text == "sorry"


@both
async def test_a_resumed_run_that_fails_keeps_what_its_tools_gave(api: Api) -> None:
    shop = Shop()
    paused = await pause(scripted(paying(api)), endpoint=api.endpoint, tools=shop.tools)
    lost = scripted(errors.ConnectionFailed("gone"))

    with pytest.raises(errors.ConnectionFailed) as caught:
        await aquila.resume(
            paused.state, {"c2": True}, transport=lost, endpoint=api.endpoint, tools=shop.tools, retry=0
        )

    assert caught.value.partial is not None
    assert [m.role for m in caught.value.partial.messages] == ["user", "assistant", "tool", "tool"]
    assert caught.value.partial.usage is not None
    assert caught.value.partial.usage.input_tokens == 9


@pytest.mark.parametrize(
    ("change", "approvals", "options", "says"),
    [
        ({}, None, {}, "approvals=None must be a dict"),
        ({}, {"c2": True}, {"messages": "x"}, "messages: a paused run goes on with its own conversation"),
    ],
)
async def test_a_run_that_cannot_be_resumed_says_why(
    change: dict[str, Any], approvals: Any, options: dict[str, Any], says: str
) -> None:
    shop = Shop()
    paused = await pause(scripted(paying(Chat)), endpoint="chat", tools=shop.tools)

    with pytest.raises(ConfigError, match=says):
        aquila.resume({**paused.state, **change}, approvals, tools=shop.tools, **options)


async def test_a_state_of_another_version_may_count_what_this_one_does_not_know() -> None:
    shop = Shop()
    paused = await pause(scripted(paying(Chat)), endpoint="chat", tools=shop.tools)
    state = {**paused.state, "usage": {"input_tokens": 3, "new_tokens": 1}}

    answer = await aquila.resume(
        state, {"c2": True}, transport=scripted(Chat.answer("ok")), endpoint="chat", tools=shop.tools
    )

    assert answer.text == "ok"


async def test_a_client_with_instructions_goes_on_with_those_of_the_conversation() -> None:
    shop = Shop()
    paused = await pause(scripted(paying(Chat)), endpoint="chat", tools=shop.tools, instructions="Be kind.")
    transport = scripted(Chat.answer("ok"))
    client = aquila.Client(instructions="Be rude.", tools=shop.tools, transport=transport, endpoint="chat")

    await client.resume(paused.state, {"c2": True})

    said = [turn["content"] for turn in bodies(transport)[0]["messages"] if turn["role"] == "system"]
    assert said == ["Be kind."]
