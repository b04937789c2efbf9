"""The conversation over several rounds: what each request repeats, and what the next turn can go on from."""

from __future__ import annotations

import pytest

import aquila
from aquila.tools import tool
from tests import wire
from tests.fault_server import BOTH, Api, Chat, Responses
from tests.rounds import bodies, refusal, scripted

#: A call that takes nothing.
GO = ("c1", "go", "{}")

both = pytest.mark.parametrize("api", BOTH, ids=lambda api: api.endpoint)


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


async def test_what_the_model_says_before_a_call_stays_in_the_history_and_out_of_the_answer() -> None:
    said = [wire.delta("Let me see."), *Chat.calls(("c1", "add", '{"a": 1, "b": 2}'))]
    transport = scripted(said, wire.answer("It is 3."))

    answer = await aquila.ask("hi", transport=transport, tools=[add])

    assert answer.text == "It is 3."
    assert [message.role for message in answer.messages] == ["user", "assistant", "tool", "assistant"]
    assert bodies(transport)[1]["messages"][1]["content"] == "Let me see."


async def test_parallel_calls_are_one_turn_and_their_results_follow_it() -> None:
    transport = scripted(Chat.calls(GO, ("c2", "go", "")), wire.answer("ok"))

    await aquila.ask("hi", transport=transport, tools=[tool(lambda: "gone", name="go")])

    turn, *results = bodies(transport)[1]["messages"][1:]
    assert [call["id"] for call in turn["tool_calls"]] == ["c1", "c2"]
    assert [call["function"]["arguments"] for call in turn["tool_calls"]] == ["{}", "{}"]
    assert [(result["role"], result["tool_call_id"]) for result in results] == [
        ("tool", "c1"),
        ("tool", "c2"),
    ]


async def test_a_stored_conversation_is_continued_with_the_results_alone() -> None:
    transport = scripted(Responses.calls(GO), Responses.answer("ok"))

    await aquila.ask(
        "hi", transport=transport, endpoint="responses", instructions="Be kind.", tools=[tool(lambda: 1, name="go")]
    )  # fmt: skip

    second = bodies(transport)[1]
    assert second["previous_response_id"] == "resp_1"
    assert [item["type"] for item in second["input"]] == ["function_call_output"]
    assert second["instructions"] == "Be kind."


async def test_what_the_provider_does_not_keep_is_sent_again() -> None:
    transport = scripted(Responses.calls(GO), Responses.answer("ok"))

    await aquila.ask(
        "hi", transport=transport, endpoint="responses", store=False, tools=[tool(lambda: 1, name="go")]
    )

    second = bodies(transport)[1]
    assert "previous_response_id" not in second
    assert [item.get("type") for item in second["input"][1:]] == ["function_call", "function_call_output"]


@both
@pytest.mark.parametrize("other", BOTH, ids=lambda api: api.endpoint)
async def test_the_history_of_a_run_is_a_valid_next_turn_on_either_api(api: Api, other: Api) -> None:
    first = await aquila.ask(
        "hi",
        transport=scripted(api.calls(("c1", "add", '{"a": 1, "b": 2}')), api.answer("3")),
        endpoint=api.endpoint,
        tools=[add],
    )
    transport = scripted(other.answer("ok"))

    await aquila.ask("and?", messages=first.messages, transport=transport, endpoint=other.endpoint)

    body = bodies(transport)[0]
    assert other.outputs(body) == [("c1", "3")]
    if other is Responses:
        kinds = [item.get("type", "message") for item in body["input"]]
        assert kinds == ["message", "function_call", "function_call_output", "message", "message"]
        assert "previous_response_id" not in body
    else:
        roles = [message["role"] for message in body["messages"]]
        assert roles == ["user", "assistant", "tool", "assistant", "user"]


async def test_a_server_that_forgets_its_answers_is_told_everything_from_then_on() -> None:
    def go(n: int) -> int:
        return n

    transport = scripted(
        Responses.calls(("c1", "go", '{"n": 1}')),
        refusal(400, "previous_response_id is not supported"),
        Responses.calls(("c2", "go", '{"n": 2}')),
        Responses.answer("ok"),
    )

    answer = await aquila.ask("hi", transport=transport, endpoint="responses", tools=[go])

    assert (answer.text, answer.attempts) == ("ok", 4)
    assert [body.get("previous_response_id") for body in bodies(transport)] == [None, "resp_1", None, None]
    assert Responses.outputs(bodies(transport)[2]) == [("c1", "1")]
    assert Responses.outputs(bodies(transport)[3]) == [("c1", "1"), ("c2", "2")]


async def test_the_caller_s_own_chain_is_not_given_up_for_it() -> None:
    transport = scripted(refusal(400, "Previous response with id 'resp_9' not found."))

    with pytest.raises(aquila.BadRequestError):
        await aquila.ask("hi", transport=transport, endpoint="responses", previous_response_id="resp_9")

    assert len(transport.requests) == 1
