from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aquila.cassette.interaction import Failure, Interaction
from aquila.cassette.story.answer_events import api_of, is_turn, read_answer
from aquila.endpoint.scripted import chat_calls, chat_text, responses_calls, responses_text
from aquila.events import Chunk, ReasoningChunk
from aquila.transport.base import Request
from tests.tapes import interaction

CHAT = "https://api.example.test/v1/chat/completions"
RESPONSES = "https://api.example.test/v1/responses"


def answered(
    url: str, *chunks: bytes, method: str = "POST", body: bytes = b"{}", **fields: Any
) -> Interaction:
    sent = Request(method=method, url=url, body=body)
    timed = [(10 * number, data) for number, data in enumerate(chunks, start=1)]
    return interaction(sent, chunks=timed, **fields)


@pytest.mark.parametrize(
    ("method", "url", "api"),
    [
        ("POST", CHAT, "chat"),
        ("POST", "https://x.openai.azure.com/openai/deployments/m/chat/completions?api-version=1", "chat"),
        ("POST", RESPONSES, "responses"),
        ("GET", f"{RESPONSES}/resp_1?stream=true", "responses"),
        ("POST", "https://api.example.test/v1/audio/transcriptions", "transcript"),
        ("POST", "https://api.example.test/v1/embeddings", None),
        ("GET", "https://api.example.test/v1/models", None),
        ("DELETE", f"{RESPONSES}/resp_1", None),
        ("POST", "http://[", None),
    ],
)
def test_the_method_and_the_path_say_which_api_it_is(method: str, url: str, api: str | None) -> None:
    assert api_of(Request(method=method, url=url)) == api


@pytest.mark.parametrize(("url", "write"), [(CHAT, chat_text), (RESPONSES, responses_text)])
def test_each_event_has_the_time_of_the_chunk_that_completed_it(url: str, write: Any) -> None:
    first, *rest = write(["Hel", "lo"], "stop")

    told = read_answer(answered(url, first[:5], first[5:], b"".join(rest)))

    assert told is not None
    assert told.problem is None
    assert told.response.text == "Hello"
    assert {at for at, event in told.moments if isinstance(event, Chunk)} <= {20, 30}
    assert [at for at, _ in told.moments] == sorted(at for at, _ in told.moments)


@pytest.mark.parametrize(("url", "write"), [(CHAT, chat_calls), (RESPONSES, responses_calls)])
def test_tool_calls_are_read(url: str, write: Any) -> None:
    told = read_answer(answered(url, *write([("call_a", "weather", {"city": "Porto"})])))

    assert told is not None
    assert [(call.call_id, call.name, call.arguments) for call in told.calls] == [
        ("call_a", "weather", {"city": "Porto"})
    ]


def test_a_whole_json_body_is_read_as_well() -> None:
    body = {"id": "1", "model": "m", "choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}
    whole = json.dumps(body).encode()

    told = read_answer(answered(CHAT, b"\n" + whole[:9], whole[9:]))

    assert told is not None
    assert (told.response.text, told.response.finish_reason, told.problem) == ("Hi", "stop", None)


def test_the_end_of_a_stream_without_its_last_blank_line_is_read() -> None:
    *parts, last = chat_text(["Hi"], "stop")[:2]

    told = read_answer(answered(CHAT, *parts, last.rstrip()))

    assert told is not None
    assert (told.response.text, told.problem) == ("Hi", None)


def test_a_call_that_was_cut_is_shown_as_far_as_it_came() -> None:
    delta = {"index": 0, "id": "call_a", "function": {"name": "weather", "arguments": '{"ci'}}
    event = {"id": "1", "choices": [{"delta": {"tool_calls": [delta]}}]}

    told = read_answer(answered(CHAT, b"data: " + json.dumps(event).encode() + b"\n\n", end="cut"))

    assert told is not None
    assert [(call.name, call.arguments, call.text) for call in told.calls] == [("weather", None, '{"ci')]
    assert told.problem == "cut: its reader closed the stream before the answer ended"


@pytest.mark.parametrize(
    ("fields", "chunks", "words"),
    [
        ({}, [b"data: {}\n\n"], "the body holds no event of an answer"),
        ({}, [], "the body is empty"),
        ({}, chat_text(["Hi"], "stop")[:1], "the stream ended before the answer did"),
        ({}, [b"<html>Sorry</html>"], "an HTML or XML page"),
        ({}, [b"data: {nonsense\n\n"], "no chat completion chunk"),
        ({}, [b'data: {"error": {"message": "overheated"}}\n\n'], "overheated"),
        ({"status": 503}, [b'{"error": {"message": "busy"}}'], "503 from https://api.example.test"),
        ({"end": "abandoned"}, chat_text(["Hi"], "stop")[:1], "abandoned"),
        (
            {"end": "error", "failure": Failure(error="ConnectionFailed", message="reset")},
            chat_text(["Hi"], "stop")[:1],
            "ConnectionFailed: reset",
        ),
        (
            {"status": 599, "end": "error", "failure": Failure(error="ReadTimeout", message="")},
            [],
            "ReadTimeout",
        ),
    ],
)
def test_what_is_no_whole_answer_says_why(fields: dict[str, Any], chunks: list[bytes], words: str) -> None:
    told = read_answer(answered(CHAT, *chunks, **fields))

    assert told is not None
    assert told.problem is not None
    assert words in told.problem


def test_a_connection_that_breaks_behind_the_answer_takes_nothing_from_it() -> None:
    failure = Failure(error="ConnectionFailed", message="reset")

    told = read_answer(answered(CHAT, *chat_text(["Hi"], "stop"), end="error", failure=failure))

    assert told is not None
    assert told.problem is None


def test_a_response_that_is_still_being_made_is_no_problem() -> None:
    body = b'{"id": "resp_1", "status": "in_progress", "output": []}'

    told = read_answer(answered(f"{RESPONSES}/resp_1", body, method="GET"))

    assert told is not None
    assert told.problem is None


def test_thoughts_between_tags_are_reasoning() -> None:
    told = read_answer(answered(CHAT, *chat_text(["<think>", "hm", "</think>", "Hi"], "stop")))

    assert told is not None
    assert (told.response.reasoning, told.response.text) == ("hm", "Hi")
    shown = [type(event) for _, event in told.moments if isinstance(event, ReasoningChunk | Chunk)]
    assert shown == [ReasoningChunk, Chunk]


def test_other_traffic_is_no_answer() -> None:
    assert read_answer(answered("https://api.example.test/v1/embeddings", b"{}")) is None


def test_a_turn_is_a_request_that_a_model_answered() -> None:
    assert is_turn(answered(CHAT, b"data: {}\n\n"))
    assert not is_turn(answered(CHAT, b"busy", status=503))
    assert not is_turn(answered(CHAT))
    assert not is_turn(answered(f"{RESPONSES}/resp_1", b"{}", method="GET"))
    assert not is_turn(answered("https://api.example.test/v1/embeddings", b"{}"))


@given(
    st.sampled_from([CHAT, RESPONSES, "https://api.example.test/v1/audio/transcriptions"]),
    st.lists(
        st.one_of(
            st.binary(max_size=40),
            st.sampled_from(chat_text(["a"], "stop") + responses_calls([("1", "f", {})])),
        )
    ),
)
def test_no_body_makes_it_fail(url: str, chunks: list[bytes]) -> None:
    told = read_answer(answered(url, *chunks))

    assert told is not None
