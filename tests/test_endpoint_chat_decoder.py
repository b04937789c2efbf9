from __future__ import annotations

import json
from typing import Any

import pytest

from aquila import errors
from aquila.events import (
    Annotation,
    Chunk,
    Event,
    ReasoningChunk,
    Status,
    ToolCall,
    ToolCallChunk,
    ToolCallStarted,
    Unknown,
    UsageUpdate,
)
from aquila.response import Usage
from tests.decoding import chat_decoder, choice, feed, fragment


def decode(*payloads: Any) -> list[Event]:
    return feed(chat_decoder(), *payloads)


def test_text_comes_out_token_by_token_repeated_ones_included() -> None:
    assert decode(choice(content="ha"), choice(content="ha"), choice(content="")) == [
        Chunk("ha"),
        Chunk("ha"),
    ]


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param({"id": "r", "provider": "x", "choices": None}, id="routing metadata without choices"),
        pytest.param({"object": "", "choices": [], "prompt_filter_results": []}, id="Azure's first frame"),
        pytest.param({"object": "", "choices": [{"index": 0, "delta": None}]}, id="Azure's filter frame"),
        pytest.param({"choices": [{"index": 0}]}, id="delta missing"),
        pytest.param(choice(content=None), id="content null"),
        pytest.param(choice(index=None, content=""), id="index null"),
        pytest.param(choice(tool_calls=[]), id="no tool calls"),
        pytest.param({"choices": [], "usage": None}, id="usage null"),
        pytest.param({"choices": [], "usage": {}}, id="usage without counts"),
        pytest.param({"id": "r", "choices": [], "moderation": {"flagged": False}}, id="moderation"),
        pytest.param(b"  ", id="empty data"),
        pytest.param(b"", id="no data"),
        pytest.param({"type": "ping"}, id="a ping"),
    ],
)
def test_frames_without_content_give_nothing(frame: Any) -> None:
    assert decode(frame) == []


def test_usage_is_read_with_its_details_wherever_it_stands() -> None:
    counts = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13,
              "prompt_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 2},
              "completion_tokens_details": {"reasoning_tokens": 1}}  # fmt: skip
    expected = UsageUpdate(
        Usage(
            input_tokens=9, output_tokens=4, total_tokens=13, cached_tokens=5, cache_write_tokens=2, reasoning_tokens=1
        )
    )  # fmt: skip

    assert decode({"choices": [], "usage": counts}) == [expected]
    assert decode({"usage": counts}) == [expected]
    assert decode({**choice("stop"), "usage": counts})[-1] == expected


@pytest.mark.parametrize(
    ("delta", "expected"),
    [
        pytest.param({"reasoning_content": "hm"}, [ReasoningChunk("hm")], id="reasoning_content"),
        pytest.param({"reasoning": "hm"}, [ReasoningChunk("hm")], id="reasoning"),
        pytest.param({"reasoning": {"content": "hm"}}, [ReasoningChunk("hm")], id="reasoning as an object"),
        pytest.param({"reasoning": "hm", "reasoning_content": "hm"}, [ReasoningChunk("hm")], id="both, once"),
        pytest.param({"refusal": "no"}, [Status("refusal", {"text": "no"})], id="refusal"),
        pytest.param({"audio": {"id": "a"}}, [Status("audio", {"id": "a"})], id="audio"),
        pytest.param(
            {"annotations": [{"type": "url_citation"}, "odd"]},
            [Annotation({"type": "url_citation"}), Unknown("odd")],
            id="annotations",
        ),
    ],
)
def test_content_of_other_kinds_is_told_apart(delta: dict[str, Any], expected: list[Event]) -> None:
    assert decode(choice(**delta)) == expected


def test_further_choices_are_not_mixed_into_the_text() -> None:
    second = choice(index=1, content="B")

    assert decode(choice(content="A"), second) == [Chunk("A"), Unknown(second)]


def test_the_first_chunk_tells_the_answers_id_and_the_model_that_speaks() -> None:
    decoder = chat_decoder()

    events = decoder.decode("", json.dumps(choice(content="x")).encode())

    assert events == [Status("created", {"response_id": "r", "model": "m"}), Chunk("x")]


def test_only_a_finish_reason_ends_the_answer_and_only_done_ends_the_reading() -> None:
    decoder = chat_decoder()

    feed(decoder, choice(content="x"))
    assert (decoder.ended, decoder.closed) == (False, False)
    feed(decoder, choice("length"))
    assert (decoder.ended, decoder.closed) == (True, False)
    feed(decoder, b"[DONE]")
    assert (decoder.ended, decoder.closed) == (True, True)


@pytest.mark.parametrize(
    ("delta", "ended"),
    [({"content": "x"}, True), ({"reasoning": "x"}, False), ({"content": "<think>x"}, False)],
    ids=["content", "reasoning", "reasoning in the text"],
)
def test_done_behind_content_ends_the_answer_of_a_server_without_finish_reasons(
    delta: dict[str, Any], ended: bool
) -> None:
    decoder = chat_decoder(ends_without_finish_reason=True)

    feed(decoder, choice(**delta), b"[DONE]")

    assert decoder.ended is ended


def test_done_without_a_finish_reason_is_no_end_elsewhere() -> None:
    decoder = chat_decoder()

    feed(decoder, choice(content="x"), b"[DONE]")

    assert not decoder.ended


def test_a_stream_that_was_lost_cannot_be_picked_up() -> None:
    decoder = chat_decoder()
    feed(decoder, choice(content="x"))

    assert decoder.resume() is None  # type: ignore[func-returns-value]


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        pytest.param({"error": {"message": "slow down", "code": 429}}, errors.RateLimitError, id="numeric code"),
        pytest.param({"error": {"message": "x", "code": "429"}}, errors.RateLimitError, id="code as text"),
        pytest.param({"error": "no room"}, errors.ProviderStreamError, id="text"),
        pytest.param([{"error": {"message": "x", "code": 503}}], errors.OverloadedError, id="a list"),
        pytest.param({"type": "error", "message": "m", "code": "c"}, errors.ProviderStreamError, id="flat"),
        pytest.param({"error": {"type": "server_is_overloaded", "message": "x"}}, errors.OverloadedError, id="word"),
        pytest.param({"error": {"type": "overloaded_error"}}, errors.OverloadedError, id="a type alone"),
        pytest.param({"error": {"code": "insufficient_quota", "message": "x"}}, errors.QuotaExceededError, id="quota"),
        pytest.param(
            {"choices": [{"index": 0, "error": {"code": 502, "message": "x"}, "finish_reason": "error"}]},
            errors.InternalServerError, id="in the choice",
        ),
        pytest.param(choice("error"), errors.ProviderStreamError, id="finish reason error"),
        pytest.param({**choice(content="x"), "error": {"message": "x", "code": 500}}, errors.InternalServerError,
                     id="beside content"),
    ],
)  # fmt: skip
def test_an_error_inside_the_stream_is_raised_as_its_class(payload: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        decode(payload)


@pytest.mark.parametrize(
    ("name", "data", "error"),
    [
        pytest.param("error", b'{"message":"jinja failed"}', errors.ProviderStreamError, id="event: error"),
        pytest.param("error", b"out of memory", errors.ProviderStreamError, id="error: plain text"),
        pytest.param("error", b"{}", errors.ProtocolError, id="an error without a word"),
        pytest.param("", b'{"choices":[{"delta":{"content":"ha', errors.ProtocolError, id="cut JSON"),
        pytest.param("", b"<html>", errors.ProtocolError, id="HTML in an event"),
        pytest.param(
            "", b'{"choices":[{"delta":{"content":5}}]}', errors.ProtocolError, id="text that is a number"
        ),
    ],
)
def test_a_payload_that_cannot_be_read_is_an_error(name: str, data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        chat_decoder().decode(name, data)


@pytest.mark.parametrize("name", ["ping", "keepalive"])
def test_a_keepalive_event_may_hold_anything(name: str) -> None:
    decoder = chat_decoder()

    assert decoder.decode(name, b"2026-11-24 12:00:00") == []
    assert decoder.decode(name, b'{"type":"ping"}') == []


def test_a_whole_completion_is_read_like_a_stream() -> None:
    decoder = chat_decoder()
    call = fragment('{"x":1}', id="c", name="f")
    message = {"role": "assistant", "content": "Hi", "tool_calls": [call]}
    body = {"id": "r", "model": "m", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}  # fmt: skip

    events = [*decoder.decode_whole(json.dumps(body, indent=1).encode()), *decoder.finish()]

    assert events == [
        Status("created", {"response_id": "r", "model": "m"}),
        Chunk("Hi"),
        ToolCallStarted("c", "f"),
        ToolCallChunk("c", '{"x":1}'),
        Status("finished", {"finish_reason": "stop"}),
        UsageUpdate(Usage(input_tokens=1, output_tokens=1, total_tokens=2)),
        ToolCall("c", "f", {"x": 1}, '{"x":1}'),
    ]
    assert decoder.ended
    assert decoder.closed


def test_fields_of_the_servers_own_do_not_change_what_is_read() -> None:
    plain = [choice(content="a"), choice(content="b"), choice(reasoning="c"), choice("stop")]
    odd = [
        choice(content="a", mood="x"),
        choice(content="b", mood="y"),
        choice(reasoning="c"),
        choice("stop"),
    ]
    decoder = chat_decoder()

    events = feed(decoder, *odd, finish=True)
    turn = decoder.turn()

    assert events == feed(chat_decoder(), *plain, finish=True)
    assert turn is not None
    assert turn.extra == {"mood": "xy"}
