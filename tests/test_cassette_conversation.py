from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from aquila.cassette.interaction import Failure, Interaction
from aquila.cassette.story.conversation import conversation
from aquila.cassette.story.sent_items import Said
from aquila.endpoint.scripted import chat_calls, chat_text, responses_calls, responses_text
from aquila.transport.base import Request
from tests.tapes import interaction

USER = {"role": "user", "content": "Is it warm in Porto?"}
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {}}}]


def chat(*messages: Any, answer: list[bytes] | None = None, **fields: Any) -> Interaction:
    return turn("chat/completions", {"messages": messages, **fields}, answer or chat_text(["Yes."], "stop"))


def responses(given: Any, answer: list[bytes] | None = None, **fields: Any) -> Interaction:
    return turn("responses", {"input": given, **fields}, answer or responses_text(["Yes."], "stop"))


def turn(path: str, body: Any, answer: list[bytes]) -> Interaction:
    sent = Request(
        method="POST",
        url=f"https://api.example.test/v1/{path}",
        headers={"content-type": "application/json"},
        body=json.dumps(body).encode(),
    )
    return interaction(sent, chunks=[(1, data) for data in answer])


def test_a_first_turn_is_new_from_the_system_text_on() -> None:
    system = {"role": "system", "content": "Be brief."}

    (first,) = conversation([chat(system, USER, tools=TOOLS)])

    assert first.new == (
        Said("tools", "weather"),
        Said("system", "Be brief."),
        Said("user", "Is it warm in Porto?"),
    )
    assert (first.after, first.repeated) == (None, 0)


def test_a_later_turn_shows_only_what_was_not_said_before() -> None:
    calls = {"role": "assistant", "content": None, "tool_calls": [
        {"id": "call_a", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    ]}  # fmt: skip
    result = {"role": "tool", "tool_call_id": "call_a", "content": "21 C"}

    _, second = conversation([
        chat(USER, tools=TOOLS, answer=chat_calls([("call_a", "weather", {})])),
        chat(USER, calls, result, tools=TOOLS),
    ])  # fmt: skip

    assert second.new == (Said("tool result", "21 C", "call_a"),)
    assert (second.after, second.repeated) == (1, 1)


def test_an_answer_that_comes_back_changed_is_shown() -> None:
    _, second = conversation([chat(USER), chat(USER, {"role": "assistant", "content": "No."}, USER)])

    assert second.new == (Said("assistant", "No."), Said("user", "Is it warm in Porto?"))


def test_a_retry_says_nothing_new() -> None:
    _, second = conversation([chat(USER), chat(USER)])

    assert (second.new, second.after, second.repeated) == ((), 1, 1)


def test_conversations_side_by_side_are_told_apart() -> None:
    other = {"role": "user", "content": "And Oslo?"}
    yes = {"role": "assistant", "content": "Yes."}
    more = {"role": "user", "content": "Sure?"}

    turns = conversation([chat(USER), chat(other), chat(USER, yes, more), chat(other, yes, more)])

    assert [turn.after for turn in turns] == [None, None, 1, 2]
    assert {turn.new for turn in turns[2:]} == {(Said("user", "Sure?"),)}


def test_a_response_goes_on_from_the_one_it_names() -> None:
    results = [{"type": "function_call_output", "call_id": "call_a", "output": "21 C"}]

    _, second = conversation([
        responses("Is it warm?", responses_calls([("call_a", "weather", {})]), instructions="Be brief."),
        responses(results, previous_response_id="scripted", instructions="Be brief."),
    ])  # fmt: skip

    assert (second.after, second.repeated) == (1, 0)
    assert second.new == (Said("tool result", "21 C", "call_a"),)


def test_a_response_that_repeats_its_items_shows_none_of_them_again() -> None:
    call = {"type": "function_call", "call_id": "call_a", "name": "weather", "arguments": "{}"}
    results = {"type": "function_call_output", "call_id": "call_a", "output": "21 C"}

    _, second = conversation([
        responses([USER], responses_calls([("call_a", "weather", {})])),
        responses([USER, {"type": "reasoning", "summary": []}, call, results], instructions="Now be brief."),
    ])  # fmt: skip

    assert second.new == (Said("system", "Now be brief."), Said("tool result", "21 C", "call_a"))


def test_other_traffic_stands_between_the_turns_with_an_excerpt() -> None:
    other = turn("embeddings", {"input": "sea"}, [b"{}"])

    turns = conversation([chat(USER), other, chat(USER, {"role": "user", "content": "Well?"})])

    assert turns[1].new == (Said("body", '{"input": "sea"}'),)
    assert turns[1].told is None
    assert (turns[2].after, turns[2].new) == (1, (Said("user", "Well?"),))


def test_pictures_are_cut_and_texts_are_not() -> None:
    parts = [
        {"type": "text", "text": "x" * 500},
        {"type": "image_url", "image_url": {"url": "data:" + "A" * 5000}},
    ]

    (first,) = conversation([chat({"role": "user", "content": parts})])

    text, picture = first.new[0].text.split("\n")
    assert text == "x" * 500
    assert picture.startswith('{"type": "image_url"')
    assert picture.endswith("characters)")


def test_the_problem_of_other_traffic_is_that_of_the_exchange() -> None:
    busy = replace(turn("embeddings", {}, [b'{"error": {"message": "busy"}}']), status=503)
    cut = replace(turn("embeddings", {}, [b"{"]), end="cut")
    broken = replace(cut, end="error", failure=Failure(error="ConnectionFailed", message="reset"))

    problems = [
        step.problem or "" for step in conversation([busy, cut, broken, turn("embeddings", {}, [b"{}"])])
    ]

    assert ["busy" in problems[0], problems[1][:4], problems[2], problems[3]] == [
        True, "cut:", "ConnectionFailed: reset", "",
    ]  # fmt: skip


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["messages", "input", "role", "content", "tool_calls", "function", "tools", "type", "text"]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)


@given(st.lists(st.tuples(st.sampled_from(["chat/completions", "responses"]), JSON), max_size=3))
def test_no_request_makes_it_fail(bodies: list[tuple[str, Any]]) -> None:
    turns = conversation([turn(path, body, [b"data: [DONE]\n\n"]) for path, body in bodies])

    assert all(isinstance(said.text, str) for step in turns for said in step.new)
