from __future__ import annotations

import gc
import json
from typing import Any

import anyio
import pytest

import aquila
from aquila import errors
from aquila.assistant import Assistant
from aquila.events import Done, Event
from aquila.streams import Stream
from aquila.testing import Answer, ScriptedTransport
from tests import responses_wire, wire

CALL: dict[str, Any] = {
    "tool_calls": [
        {
            "index": 0,
            "id": "c1",
            "type": "function",
            "function": {"name": "look", "arguments": '{"at": "sky"}'},
        }
    ]
}
CALLS = Answer(chunks=[wire.delta(**CALL), wire.delta(finish="tool_calls"), wire.DONE])


def says(*texts: str) -> Answer:
    return Answer(chunks=wire.answer(*texts))


def sent(transport: ScriptedTransport, number: int = -1) -> list[tuple[str, Any]]:
    body = json.loads(transport.requests[number].body)
    return [(message["role"], message.get("content")) for message in body["messages"]]


def roles(assistant: Assistant) -> list[str]:
    return [message.role for message in assistant.messages]


def look(at: str) -> str:
    """Look at something."""
    return f"{at}: blue"


async def test_each_turn_is_asked_with_all_that_was_said_before() -> None:
    transport = ScriptedTransport(says("Hello."), says("Blue."))
    assistant = Assistant(instructions="Be brief.", model="m", transport=transport)

    first = await assistant.ask("Hi")
    async with assistant.stream("Which colour?") as stream:
        second = await stream

    assert (first.text, second.text) == ("Hello.", "Blue.")
    assert sent(transport) == [
        ("system", "Be brief."),
        ("user", "Hi"),
        ("assistant", "Hello."),
        ("user", "Which colour?"),
    ]
    assert roles(assistant) == ["user", "assistant", "user", "assistant"]
    assert json.loads(transport.requests[1].body)["model"] == "m"


async def test_instructions_may_change_between_turns() -> None:
    transport = ScriptedTransport(says("a"))
    assistant = Assistant(instructions="Be brief.", transport=transport)

    await assistant.ask("one")
    assistant.options["instructions"] = "Be long."
    await assistant.ask("two")
    await assistant.ask("three", instructions="Be odd.")

    assert [text for role, text in sent(transport, 1) if role == "system"] == ["Be long."]
    assert [text for role, text in sent(transport, 2) if role == "system"] == ["Be odd."]
    assert roles(assistant) == ["user", "assistant"] * 3


async def test_calls_of_tools_and_their_results_stay_in_the_conversation() -> None:
    transport = ScriptedTransport(CALLS, says("Blue."), says("Bye."))
    assistant = Assistant(tools=[look], transport=transport)

    await assistant.ask("What do you see?")
    await assistant.ask("Bye")

    assert [role for role, _ in sent(transport)] == ["user", "assistant", "tool", "assistant", "user"]


async def test_content_parts_and_earlier_messages_are_kept_whole() -> None:
    transport = ScriptedTransport(says("A cat."), says("Yes."))
    assistant = Assistant(
        messages=[{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}],
        transport=transport,
    )

    await assistant.ask(["What is this?", aquila.image("https://a.example/b.png")])
    await assistant.ask("Sure?")

    assert [role for role, _ in sent(transport)] == ["user", "assistant", "user", "assistant", "user"]
    assert sent(transport)[2][1][1]["type"] == "image_url"


@pytest.mark.parametrize(
    "bad",
    [
        Answer(status=500, chunks=[b"no"]),
        Answer(chunks=[wire.delta("Hel")]),
        errors.ConnectionFailed("it broke"),
    ],
)
async def test_a_turn_that_fails_leaves_the_conversation_as_it_was(bad: Answer | errors.AquilaError) -> None:
    transport = ScriptedTransport(says("Hello."), bad, says("Blue."))
    assistant = Assistant(transport=transport, retry=0)
    await assistant.ask("Hi")
    before = assistant.messages

    with pytest.raises(errors.AquilaError):
        await assistant.ask("Fail")

    assert assistant.messages == before
    assert (await assistant.ask("Which colour?")).text == "Blue."
    assert [text for _, text in sent(transport)] == ["Hi", "Hello.", "Which colour?"]


async def test_a_turn_that_fails_behind_a_tool_leaves_no_half_of_it() -> None:
    transport = ScriptedTransport(CALLS, Answer(status=400, chunks=[b"no"]), says("Fine."))
    assistant = Assistant(tools=[look], transport=transport)

    with pytest.raises(errors.BadRequestError):
        await assistant.ask("What do you see?")

    assert assistant.messages == ()
    assert (await assistant.ask("And now?")).text == "Fine."


async def test_a_cancelled_turn_leaves_the_conversation_as_it_was() -> None:
    transport = ScriptedTransport(Answer(chunks=[wire.delta("Hel"), 30.0]), says("Hello."))
    assistant = Assistant(transport=transport)

    with anyio.move_on_after(0.1):
        await assistant.ask("Hi")

    assert assistant.messages == ()
    assert (await assistant.ask("Hi")).text == "Hello."


async def test_a_stream_that_is_left_early_leaves_the_conversation_as_it_was() -> None:
    assistant = Assistant(transport=ScriptedTransport(says("a", "b")))

    async with assistant.stream("Hi") as stream:
        async for event in stream:
            if isinstance(event, aquila.Chunk):
                break

    assert assistant.messages == ()
    assert (await assistant.ask("Hi")).text == "ab"


async def test_a_stream_that_is_dropped_makes_room_for_the_next() -> None:
    assistant = Assistant(transport=ScriptedTransport(says("a", "b")))
    stream: Stream[Any] | None = assistant.stream("Hi")
    assert stream is not None
    await anext(stream)

    stream = None
    gc.collect()

    assert (await assistant.ask("Hi")).text == "ab"


async def test_a_second_turn_at_the_same_time_is_refused_and_harms_nothing() -> None:
    transport = ScriptedTransport(says("a"))
    assistant = Assistant(transport=transport)

    async with assistant.stream("one") as running:
        await anext(running)
        with pytest.raises(errors.ConfigError, match=r"another turn .* is running.*fork"):
            await assistant.ask("two")
        response = await running

    assert response.text == "a"
    assert len(transport.requests) == 1
    assert roles(assistant) == ["user", "assistant"]


async def test_a_turn_prepared_before_another_one_is_refused() -> None:
    transport = ScriptedTransport(says("a"))
    assistant = Assistant(transport=transport)
    early = assistant.stream("one")
    await assistant.ask("two")

    with pytest.raises(errors.ConfigError, match="has gone on since"):
        await early

    assert len(transport.requests) == 1


async def test_a_paused_turn_adds_nothing_until_it_is_resumed() -> None:
    transport = ScriptedTransport(CALLS, says("Blue."), says("Bye."))
    assistant = Assistant(
        instructions="Be brief.", tools=[aquila.tool(look, needs_approval=True)], transport=transport
    )

    with pytest.raises(errors.Paused) as caught:
        await assistant.ask("What do you see?")
    between = assistant.messages
    response = await assistant.resume(caught.value.state, {"c1": True})
    await assistant.ask("Bye")

    assert between == ()
    assert response.text == "Blue."
    assert [role for role, _ in sent(transport)] == [
        "system",
        "user",
        "assistant",
        "tool",
        "assistant",
        "user",
    ]


async def test_a_turn_s_own_sink_gets_every_event() -> None:
    seen: list[Event] = []
    sink = aquila.sink.callback(seen.append)
    assistant = Assistant(sink=sink, transport=ScriptedTransport(says("a")))

    await assistant.ask("Hi")

    assert [event.type for event in seen][:1] == ["started"]
    assert isinstance(seen[-1], Done)


async def test_a_strict_sink_that_refuses_the_end_makes_a_failure_of_the_turn() -> None:
    def refuse(event: Event) -> None:
        if event.type == "done":
            raise ValueError("full")

    assistant = Assistant(transport=ScriptedTransport(says("a")))

    with pytest.raises(ValueError, match="full"):
        await assistant.ask("Hi", sink=aquila.sink.callback(refuse, strict=True))

    assert assistant.messages == ()
    assert (await assistant.ask("Hi")).text == "a"


async def test_collected_events_come_to_their_end() -> None:
    assistant = Assistant(transport=ScriptedTransport(says("a")))
    events: list[Event] = []

    async with aquila.sink.collector() as collected, anyio.create_task_group() as tasks:

        async def gather() -> None:
            events.extend([event async for event in collected])

        tasks.start_soon(gather)
        await assistant.ask("Hi", sink=collected)

    assert isinstance(events[-1], Done)


async def test_an_output_type_is_asked_for_turn_by_turn() -> None:
    assistant = Assistant(transport=ScriptedTransport(says('{"result": ["a"]}'), says("b")))

    listed = await assistant.ask("List", output=list[str])
    plain = await assistant.ask("Say")

    assert (listed.parsed, plain.text) == (["a"], "b")


async def test_tools_see_the_context_and_what_they_patch_holds() -> None:
    seen: list[Any] = []

    def count(at: str, ctx: aquila.Context[dict[str, int]]) -> aquila.ToolOutput:
        """Count."""
        seen.append(dict(ctx.value))
        return aquila.ToolOutput("ok", context_patch={"n": ctx.value["n"] + 1})

    transport = ScriptedTransport(CALLS, says("a"), CALLS, says("b"))
    mine = {"n": 1}
    assistant = Assistant(context=mine, tools=[aquila.tool(count, name="look")], transport=transport)

    await assistant.ask("one")
    await assistant.ask("two")

    assert mine == {"n": 1}
    assert seen[0] == {"n": 1}
    assert seen[1] == {"n": 2}
    assert assistant.context == {"n": 3}


async def test_a_fork_has_the_same_past_and_its_own_future() -> None:
    assistant = Assistant(instructions="Be brief.", context={"a": 1}, transport=ScriptedTransport(says("a")))
    await assistant.ask("one")

    fork = assistant.fork()
    await fork.ask("two")
    fork.options["instructions"] = "Be long."
    fork.context["a"] = 2

    assert (roles(assistant), len(fork.messages)) == (["user", "assistant"], 4)
    assert assistant.options.get("instructions") == "Be brief."
    assert assistant.context == {"a": 1}


async def test_a_conversation_goes_through_json_and_goes_on() -> None:
    transport = ScriptedTransport(CALLS, says("Blue."), says("Bye."))
    assistant = Assistant(
        instructions="Be brief.", model="m", tools=[look], context={"a": 1}, transport=transport
    )
    await assistant.ask("What do you see?")

    state = json.loads(json.dumps(assistant.to_dict()))
    again = Assistant.from_dict(state, tools=[look], transport=transport)
    await again.ask("Bye")

    assert again.context == {"a": 1}
    assert json.loads(transport.requests[-1].body)["model"] == "m"
    assert [role for role, _ in sent(transport)] == [
        "system", "user", "assistant", "tool", "assistant", "user",
    ]  # fmt: skip
    assert again.messages[: len(assistant.messages)] == assistant.messages


async def test_items_of_the_responses_api_go_through_json_as_well() -> None:
    transport = ScriptedTransport(Answer(chunks=responses_wire.answer("Hello")))
    assistant = Assistant(endpoint="responses", transport=transport)
    await assistant.ask("Hi")

    again = Assistant.from_dict(assistant.to_dict(), endpoint="responses", transport=transport)
    await again.ask("Bye")

    items = json.loads(transport.requests[-1].body)["input"]
    assert items[1] == responses_wire.message("Hello")


@pytest.mark.parametrize("state", [None, {}, {"messages": "x"}])
def test_what_is_no_state_is_refused(state: Any) -> None:
    with pytest.raises(errors.ConfigError, match="to_dict"):
        Assistant.from_dict(state)


def test_a_context_that_is_no_json_is_told() -> None:
    with pytest.raises(errors.ConfigError, match="cannot be written as JSON"):
        Assistant(context=object()).to_dict()


def test_what_an_assistant_keeps_is_no_option_of_a_turn() -> None:
    assistant = Assistant()

    with pytest.raises(errors.ConfigError, match=r"messages .*assistant\.messages"):
        assistant.stream("Hi", messages="x")
    with pytest.raises(errors.ConfigError, match=r"tool_context .*assistant\.context"):
        assistant.stream("Hi", tool_context=1)
    with pytest.raises(errors.ConfigError, match=r"assistant\.context"):
        Assistant(tool_context=1)
    with pytest.raises(errors.ConfigError, match="previous_response_id"):
        Assistant(previous_response_id="resp_1")
    with pytest.raises(TypeError, match="temprature"):
        Assistant(temprature=1)  # type: ignore[call-arg]


async def test_a_client_s_defaults_hold_under_the_assistant_s() -> None:
    transport = ScriptedTransport(says("a"))
    client = aquila.Client(transport=transport, model="m", temperature=0.5)
    assistant = Assistant(client=client, model="n")

    await assistant.ask("Hi")

    body = json.loads(transport.requests[0].body)
    assert (body["model"], body["temperature"]) == ("n", 0.5)


async def test_the_conversation_may_be_replaced_between_turns() -> None:
    transport = ScriptedTransport(says("a"))
    assistant = Assistant(transport=transport)
    await assistant.ask("Hi")

    assistant.messages = ()
    assistant.context = {"n": 1}
    await assistant.ask("Anew")

    assert [text for _, text in sent(transport)] == ["Anew"]
    assert assistant.context == {"n": 1}
    with pytest.raises(errors.ConfigError, match="role"):
        assistant.messages = [{"role": "odd"}]
