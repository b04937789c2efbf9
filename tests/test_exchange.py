"""One exchange in hard cases: what comes together, what comes cut, what comes behind the end."""

from __future__ import annotations

import json
import time
from typing import Any

import anyio
import pytest

import aquila
from aquila import errors
from aquila.errors import AquilaError
from aquila.rate_limits import read_retry_after
from aquila.testing import Answer, ScriptedTransport
from tests import wire

BOOM = wire.event({"error": {"message": "boom", "code": 503}})


async def failure(*chunks: bytes | float | AquilaError, **facts: Any) -> AquilaError:
    transport = ScriptedTransport(Answer(chunks=chunks, **facts))
    with pytest.raises(AquilaError) as caught:
        await aquila.ask("hi", transport=transport, retry=aquila.Retry(min_backoff=0))
    assert transport.open == 0
    return caught.value


@pytest.mark.parametrize("tail", [BOOM, b"data: {nope\n\n"], ids=["error event", "bad JSON"])
async def test_content_in_the_same_read_as_an_error_is_kept_and_forbids_a_retry(tail: bytes) -> None:
    error = await failure(wire.delta("Hello") + wire.delta(" world") + tail)

    assert error.partial is not None
    assert (error.partial.text, error.attempts) == ("Hello world", 1)


async def test_keep_alives_before_the_first_byte_of_the_stream_are_not_counted_and_not_kept() -> None:
    transport = ScriptedTransport(Answer(chunks=[b"\n" * 5000, b" \r\n" * 5000, *wire.answer("x")]))

    assert (await aquila.ask("hi", transport=transport)).text == "x"


async def test_a_byte_order_mark_in_pieces_is_no_content() -> None:
    first, *rest = wire.answer("x")
    transport = ScriptedTransport(Answer(chunks=[b"\xef", b"\xbb", b"\xbf" + first, *rest]))

    assert (await aquila.ask("hi", transport=transport)).text == "x"


async def test_what_comes_behind_done_does_not_count() -> None:
    *chunks, done = wire.answer("x")
    transport = ScriptedTransport(Answer(chunks=[*chunks, done + b"data: garbage\n\n"]))

    assert (await aquila.ask("hi", transport=transport)).text == "x"


async def test_a_body_that_cannot_be_decompressed_behind_the_end_does_not_spoil_the_answer() -> None:
    transport = ScriptedTransport(Answer(chunks=[*wire.answer("x"), errors.ProtocolError("no gzip")]))

    assert (await aquila.ask("hi", transport=transport)).text == "x"


async def test_a_large_answer_in_one_piece_takes_time_in_proportion_to_its_length() -> None:
    choice = {"index": 0, "message": {"content": "x" * 24_000_000}, "finish_reason": "stop"}
    body = json.dumps({"choices": [choice]}).encode()
    reads = [body[place : place + 8192] for place in range(0, len(body), 8192)]

    began = time.process_time()
    answer = await aquila.ask("hi", transport=ScriptedTransport(Answer(chunks=reads)))

    assert len(answer.text) == 24_000_000
    # Copying what had come with each read took many times as long.
    assert time.process_time() - began < 2.5


async def test_an_event_cut_behind_the_finish_reason_does_not_spoil_the_answer() -> None:
    transport = ScriptedTransport(Answer(chunks=[wire.delta("x"), wire.delta(finish="stop"), b'data: {"usa']))

    assert (await aquila.ask("hi", transport=transport)).text == "x"


async def test_blank_events_leave_no_trace_in_raw() -> None:
    transport = ScriptedTransport(Answer(chunks=[b"data: \n\n", *wire.answer("x")]))

    assert len((await aquila.ask("hi", transport=transport)).raw) == 4


async def test_a_payload_that_is_no_json_is_text_in_raw() -> None:
    error = await failure(wire.delta("x"), b"data: {nope\n\n")

    assert error.partial is not None
    assert error.partial.raw[-1] == "{nope"


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b'{"choices":[{"delta":{"content":"a\xffb"}}]}', id="bad UTF-8"),
        pytest.param(b"[" * 50_000, id="nested without end"),
        pytest.param(b'{"error":{"message":"x","code":"\xc2\xb2"}}', id="a digit that is none"),
        pytest.param(b'{"error":{"message":"x","code":"' + b"4" * 5000 + b'"}}', id="an endless number"),
    ],
)
async def test_bytes_that_no_decoder_likes_are_an_error_of_ours(payload: bytes) -> None:
    assert isinstance(await failure(b"data: " + payload + b"\n\n"), errors.StreamError)
    assert isinstance(await failure(payload, status=400), errors.BadRequestError)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param([b'{"error":', errors.ConnectionFailed("broke")], id="breaks off"),
        pytest.param([b"no", 30.0], id="stalls"),
        pytest.param(
            [errors.ProtocolError("no gzip")],
            id="cannot be decompressed",
        ),
    ],
)
async def test_an_error_status_counts_though_its_body_does_not_come(
    body: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aquila.refusal._BODY_SECONDS", 0.05)

    with anyio.fail_after(5):
        error = await failure(*body, status=401)

    assert (type(error), error.attempts) == (errors.AuthenticationError, 1)


async def test_what_an_earlier_attempt_said_is_not_the_last_one_s() -> None:
    first = Answer(status=503, headers={"x-request-id": "req_1"})
    transport = ScriptedTransport(first, errors.ConnectionFailed("gone"))

    with pytest.raises(errors.ConnectionFailed) as caught:
        await aquila.ask("hi", transport=transport, retry=aquila.Retry(max_retries=1, min_backoff=0))

    assert caught.value.request_id is None


async def test_a_server_that_asks_to_wait_is_obeyed_whatever_the_status() -> None:
    transport = ScriptedTransport(
        Answer(status=503, headers={"retry-after-ms": "20"}), Answer(chunks=wire.answer("x"))
    )

    events = [event async for event in aquila.stream("hi", transport=transport)]

    assert [event.delay for event in events if isinstance(event, aquila.Retrying)] == [0.02]


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 0.5 "}, 0.5),
        ({"retry-after-ms": "1500", "retry-after": "7"}, 1.5),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "Sun, 22 Nov 2026 12:00:30 GMT", "date": "Sun, 22 Nov 2026 12:00:00 GMT"}, 30.0),
        ({"retry-after": "Sun, 22 Nov 2026 11:00:00 GMT", "date": "Sun, 22 Nov 2026 12:00:00 GMT"}, 0.0),
        ({"retry-after": "Sun, 22 Nov 2026 12:00:30 GMT"}, None),
    ],
)
def test_the_wish_to_wait_is_read_in_seconds_milliseconds_and_dates(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert read_retry_after(headers) == seconds


async def test_a_cassette_that_has_nothing_for_a_retry_does_not_hide_why_there_was_one() -> None:
    transport = ScriptedTransport(
        Answer(chunks=[wire.delta("", role="assistant")]), errors.CassetteMismatch("already played")
    )

    with pytest.raises(errors.StreamTruncated):
        await aquila.ask("hi", transport=transport, retry=aquila.Retry(min_backoff=0))


async def test_a_redirect_is_named_with_its_target() -> None:
    error = await failure(status=307, headers={"location": "https://other.example/v1"})

    assert "redirects to https://other.example/v1: set the base URL to that" in str(error)


async def test_a_server_that_lingers_behind_the_finish_reason_does_not_hold_the_answer_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("aquila.exchange._LATE_SECONDS", 0.05)
    transport = ScriptedTransport(Answer(chunks=[wire.delta("Hi"), wire.delta(finish="stop"), 60.0]))

    with anyio.fail_after(5):
        answer = await aquila.ask("hi", transport=transport)

    assert (answer.text, answer.status, transport.open) == ("Hi", "completed", 0)


async def test_usage_behind_the_finish_reason_is_waited_for() -> None:
    chunks = [wire.delta("Hi"), wire.delta(finish="stop"), 0.05, wire.usage(7, 1), wire.DONE]

    answer = await aquila.ask("hi", transport=ScriptedTransport(Answer(chunks=chunks)))

    assert answer.usage == aquila.Usage(input_tokens=7, output_tokens=1, total_tokens=8)
