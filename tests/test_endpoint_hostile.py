"""Payloads that no server should send: an error of ours or events, never another exception, never a silent success."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aquila.endpoint import Decoder, learn, profile_for, read_failure, status_error
from aquila.errors import AquilaError, ProtocolError
from aquila.events import Chunk
from tests import responses_wire as wire
from tests.decoding import chat_decoder, choice, feed, fragment, response_event, responses_decoder

ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip
CHAT = [
    {**choice(content="Hi"), "usage": {"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": 1}}},
    choice(content=[{"type": "text", "text": "a"}, {"type": "thinking", "thinking": [{"text": "b"}]}]),
    choice(reasoning={"content": "hm"}, reasoning_content="hm", refusal="no", audio={"id": "a"}),
    choice(reasoning_details=[{"index": 0, "type": "t", "text": "a"}], annotations=[{"type": "c"}]),
    choice(tool_calls=[fragment('{"x":1}', index=0, id="c", name="f", extra_content={"a": 1})]),
    choice(function_call={"name": "f", "arguments": "{}"}),
    {**choice("stop"), "x_groq": {"usage": {"prompt_tokens": 1}, "error": None}},
    {"error": {"message": "x", "code": 500, "type": "t"}},
    {"choices": [{"index": 0, "error": {"message": "x"}, "finish_reason": "error"}]},
]
RESPONSES = [
    *(json.loads(data.partition(b"data: ")[2]) for data in wire.answer("Hi")),
    *(json.loads(data.partition(b"data: ")[2]) for data in wire.calls(wire.call("c", "f", {"x": 1}))),
    response_event("output_text.annotation.added", annotation={"type": "c"}),
    response_event("refusal.delta", delta="no"),
    response_event("refusal.done", refusal="no"),
    response_event("reasoning_summary_text.delta", delta="hm"),
    response_event("reasoning_summary_part.added", summary_index=1),
    response_event("failed", response=wire.response("failed", error={"code": "c", "message": "m"})),
    response_event("incomplete", response=wire.response("incomplete", incomplete_details={"reason": "r"})),
    response_event("completed", response=wire.response("completed", [{"type": "reasoning", "summary": [{"text": "a"}]},
                   {"type": "message", "content": [{"type": "refusal", "refusal": "n"}]}])),
    {"type": "error", "code": "c", "message": "m"},
]  # fmt: skip


def paths(value: Any, before: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    entries = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    return [before, *(path for key, inner in entries for path in paths(inner, (*before, key)))]


@st.composite
def mutated(draw: st.DrawFn, valid: list[Any]) -> list[Any]:
    payloads = copy.deepcopy(draw(st.lists(st.sampled_from(valid), min_size=1, max_size=4)))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(payloads) - 1))
        *way, last = draw(st.sampled_from([(at, *path) for path in paths(payloads[at])]))
        place: Any = payloads
        for key in way:
            place = place[key]
        place[last] = draw(ODD)
    return payloads


def read_all(decoder: Decoder, payloads: list[Any]) -> None:
    with suppress(AquilaError):
        feed(decoder, *payloads, finish=True)
        decoder.turn()
        decoder.resume()


def said_of(read: Callable[[bytes], Any], data: bytes, decoder: Decoder) -> str:
    """What reading fails with; empty if it does not."""
    try:
        read(data)
        decoder.finish()
        decoder.turn()
    except AquilaError as error:
        return str(error)
    return ""


@given(mutated(CHAT), st.sampled_from(["generic", "openai"]))
@settings(max_examples=400, deadline=None)
def test_a_damaged_chat_stream_is_read_or_refused(payloads: list[Any], profile: str) -> None:
    read_all(chat_decoder(profile), payloads)


@given(mutated(RESPONSES))
@settings(max_examples=400, deadline=None)
def test_a_damaged_response_stream_is_read_or_refused(payloads: list[Any]) -> None:
    read_all(responses_decoder(), payloads)


@given(mutated(RESPONSES) | mutated(CHAT))
@settings(max_examples=200, deadline=None)
def test_a_damaged_body_is_read_or_refused(payloads: list[Any]) -> None:
    for decoder in (chat_decoder(), responses_decoder()):
        said_of(decoder.decode_whole, json.dumps(payloads[0]).encode(), decoder)


@given(st.binary(max_size=40), st.sampled_from(["", "error", "ping", "response.completed"]))
def test_bytes_that_are_nothing_are_refused(data: bytes, name: str) -> None:
    for decoder in (chat_decoder(), responses_decoder()):
        try:
            events = decoder.decode(name, data)
        except AquilaError:
            continue
        assert not any(isinstance(event, Chunk) for event in events)
        assert not decoder.ended


DEEP = b"[" * 900 + b"]" * 900
ENDLESS = b"[" * 100_000
#: Bad UTF-8, numbers without bound, and nesting, where a first look does not see them.
NASTY = [b'"\xff"', b"1e999", b"9" * 5000, b'"\\ud83d"', DEEP, ENDLESS, b'{"a":' * 500 + b"1" + b"}" * 500]


@pytest.mark.parametrize(
    "value", NASTY, ids=["UTF-8", "float", "integer", "surrogate", "deep", "endless", "deep object"]
)
@pytest.mark.parametrize(
    "frame",
    [
        b'{"odd":%s}',
        b'{"error":%s}',
        b'{"error":{"message":%s}}',
        b'{"error":{"message":"x","code":%s}}',
        b'{"error":{"odd":%s}}',
        b'{"choices":[{"index":1,"odd":%s}]}',
        b'{"choices":[{"index":0,"error":%s}]}',
        b'{"choices":[{"index":0,"delta":{"odd":%s}}]}',
        b'{"choices":[{"index":0,"delta":{"reasoning":{"content":%s}}}]}',
        b'{"choices":[{"index":0,"delta":{"tool_calls":[%s]}}]}',
        b'{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":%s}}]}}]}',
        b'{"type":"response.completed","response":{"id":"r","output":%s}}',
        b'{"type":"response.completed","response":{"id":%s,"output":[]}}',
        b'{"type":"response.completed","response":{"id":"r","status":%s}}',
        b'{"type":"response.failed","response":{"error":%s}}',
        b'{"type":"response.output_item.done","item":{"type":"function_call","call_id":"c","name":"f","arguments":%s}}',
        b'{"type":"response.output_text.delta","delta":%s}',
        b'{"type":"response.odd","odd":%s}',
        b'{"type":"error","error":%s}',
        b"[%s]",
        b"%s",
    ],
)  # fmt: skip
def test_a_value_that_no_one_can_read_is_an_error_of_ours(frame: bytes, value: bytes) -> None:
    data = frame % value

    for decoder in (chat_decoder(), responses_decoder()):
        assert len(said_of(partial(decoder.decode, ""), data, decoder)) < 5000
        assert len(said_of(decoder.decode_whole, data, decoder)) < 5000
    assert isinstance(status_error(500, data, url="https://x"), AquilaError)


@pytest.mark.parametrize(
    "payload",
    [
        choice(content=5),
        choice(content={"text": "x"}),
        choice(content=[{"type": "text", "text": 5}]),
        choice(content=[{"type": "thinking", "thinking": [{"text": 5}]}]),
        choice(reasoning=5),
        choice(reasoning={"content": [5]}),
        choice(refusal=5),
        choice(tool_calls={"index": 0}),
        choice(tool_calls=["x"]),
        choice(finish=5),  # type: ignore[arg-type]
        {"choices": "x"},
        {"choices": ["x"]},
        {"choices": [{"index": "0", "delta": {"content": "x"}}]},
        {"choices": [{"index": 0, "delta": "x"}]},
        ["x"],
        "x",
        5,
    ],
)
def test_a_chat_chunk_of_wrong_types_is_no_silent_success(payload: Any) -> None:
    with pytest.raises(ProtocolError):
        feed(chat_decoder(), payload)


@pytest.mark.parametrize(
    "payload",
    [
        response_event("output_text.delta", delta=5),
        response_event("output_text.delta", delta={"text": "x"}),
        response_event("output_text.delta", delta="x", output_index="0"),
        response_event("output_text.done", text=["x"]),
        response_event("refusal.delta", delta=5),
        response_event("refusal.done", refusal=5),
        response_event("reasoning_text.delta", delta=5),
        response_event("function_call_arguments.delta", delta=5),
        response_event("output_item.added", item="x"),
        response_event("output_item.done", item=["x"]),
        response_event("output_item.done", item={"type": "function_call", "call_id": 5}),
        response_event("completed", response="x"),
        response_event("completed", response={"id": 5}),
        response_event("completed", response={"output": "x"}),
        response_event("completed", response={"output": ["x"]}),
        response_event("completed", response={"output": [{"type": "message", "content": [{"type": "output_text",
                       "text": 5}]}]}),
        {"type": 5},
        ["x"],
        "x",
        5,
    ],
)  # fmt: skip
def test_a_response_event_of_wrong_types_is_no_silent_success(payload: Any) -> None:
    with pytest.raises(ProtocolError):
        feed(responses_decoder(), payload)


@given(ODD)
def test_any_value_is_an_error_or_none(value: Any) -> None:
    read_failure(value)
    error = status_error(400, json.dumps({"error": value}).encode(), url="https://x")

    assert learn(profile_for("https://x"), error, frozenset()) is None or "x" in str(error)
