"""A run against every kind of answer: what comes out, what is retried, what is an error."""

from __future__ import annotations

import logging
from typing import Any

import anyio
import pytest

import aquila
from aquila import errors
from aquila.errors import AquilaError
from aquila.events import Event
from aquila.retry import Retry
from aquila.testing import Answer, ScriptedTransport
from aquila.timeouts import Timeouts
from tests import wire
from tests.wire import Connection

QUICK = Retry(min_backoff=0.001, max_backoff=0.001)


def scripted(*chunks: bytes | float | AquilaError, **facts: Any) -> ScriptedTransport:
    return ScriptedTransport(Answer(chunks=chunks, **facts))


async def failure(transport: ScriptedTransport, **options: Any) -> AquilaError:
    with pytest.raises(AquilaError) as caught:
        await aquila.ask("hi", transport=transport, **{"retry": 0, **options})
    assert transport.open == 0
    return caught.value


async def test_the_answer_holds_everything_the_stream_said() -> None:
    transport = scripted(*wire.answer("Hel", "lo"), headers={"x-request-id": "req_1"})

    answer = await aquila.ask(
        "hi", transport=transport, instructions="be kind", metadata={"id": 1}, model="m"
    )

    assert (answer.text, answer.status, answer.finish_reason) == ("Hello", "completed", "stop")
    assert (answer.model, answer.response_id, answer.request_id) == ("m-2026", "chatcmpl-1", "req_1")
    assert answer.usage == aquila.Usage(input_tokens=7, output_tokens=2, total_tokens=9)
    assert [message.role for message in answer.messages] == ["system", "user", "assistant"]
    assert answer.meta == {"id": 1}
    assert answer.raw[1]["choices"][0]["delta"] == {"content": "Hel"}
    assert answer.time_to_first_chunk is not None
    assert transport.open == 0


async def test_events_come_in_order_and_done_is_the_last() -> None:
    stream = aquila.stream("hi", transport=scripted(*wire.answer("Hel", "lo")), metadata={"id": 1})

    events = [event async for event in stream]

    assert [event.type for event in events] == [
        "started", "status", "chunk", "chunk", "status", "usage_update", "done",
    ]  # fmt: skip
    assert events[0] == aquila.Started(stream.ref, "gpt-4o-mini", {"id": 1})
    assert isinstance(events[-1], aquila.Done)
    assert await stream == events[-1].response


@pytest.mark.parametrize("size", [1, 2, 7, 64, 10_000])
async def test_any_chunking_of_the_bytes_gives_the_same_events(size: int) -> None:
    body = b"".join(wire.answer("Grüße", " 🦅", "\u2028"))
    pieces = [body[at : at + size] for at in range(0, len(body), size)]

    events = [event async for event in aquila.stream("hi", transport=scripted(*pieces))]

    assert [str(event) for event in events if isinstance(event, aquila.Chunk)] == ["Grüße", " 🦅", "\u2028"]


@pytest.mark.parametrize("reason", ["length", "content_filter"])
async def test_a_cut_answer_is_incomplete_and_no_error(reason: str) -> None:
    answer = await aquila.ask(
        "hi", transport=scripted(wire.delta("Hel"), wire.delta(finish=reason), wire.DONE)
    )

    assert (answer.text, answer.status, answer.finish_reason) == ("Hel", "incomplete", reason)


async def test_an_answer_without_usage_says_none_and_not_zero() -> None:
    answer = await aquila.ask("hi", transport=scripted(wire.delta("x"), wire.delta(finish="stop"), wire.DONE))

    assert answer.usage is None


async def test_a_whole_json_answer_of_a_gateway_that_does_not_stream_is_accepted() -> None:
    body = b'\n\n{"id":"r","choices":[{"index":0,\n"message":{"content":"Hi"},"finish_reason":"stop"}]}'

    answer = await aquila.ask(
        "hi", transport=scripted(body[:9], body[9:], headers={"content-type": "application/json"})
    )

    assert (answer.text, answer.status) == ("Hi", "completed")


@pytest.mark.parametrize(
    ("chunks", "error", "says"),
    [
        pytest.param([wire.delta("Hel")], errors.StreamTruncated, "ended before the answer did", id="no finish reason"),
        pytest.param([wire.delta("Hel"), wire.DONE], errors.StreamTruncated, "finish_reason", id="done without finish"),
        pytest.param([wire.delta("Hel"), b'data: {"id"'], errors.StreamTruncated, "finish_reason", id="cut frame"),
        pytest.param([wire.delta("Hel"), b'data: {"id"\n\n'], errors.ProtocolError, "no chat completion", id="bad JSON"),
        pytest.param([b"<!doctype html><p>Hi"], errors.ProtocolError, "an HTML or XML page", id="HTML"),
        pytest.param([b"\xef\xbb", b"\xbf <html>"], errors.ProtocolError, "HTML", id="HTML behind a BOM"),
        pytest.param([b"Service busy"], errors.ProtocolError, "Service busy", id="plain text"),
        pytest.param([], errors.EmptyStream, "an empty body", id="empty body"),
        pytest.param([b"  \n"], errors.EmptyStream, "an empty body", id="blank body"),
        pytest.param([b": ping\n\n"], errors.ProtocolError, "without one event", id="comments alone"),
        pytest.param([b'{"error":{"message":"no","code":400}}'], errors.BadRequestError, "no", id="JSON error"),
        pytest.param([b'{"detail":"gone"}'], errors.ProviderStreamError, "gone", id="JSON without choices"),
        pytest.param([b'{"choices":[]}'], errors.StreamTruncated, "finish_reason", id="JSON without an answer"),
        pytest.param([wire.event({"error": {"message": "x", "code": 503}})], errors.OverloadedError, "x", id="in-band"),
    ],
)  # fmt: skip
async def test_what_is_no_whole_answer_is_never_a_success(
    chunks: list[bytes], error: type, says: str
) -> None:
    raised = await failure(scripted(*chunks))

    assert type(raised) is error
    assert says in str(raised)
    assert raised.attempts == 1


async def test_a_truncated_stream_keeps_what_had_come() -> None:
    raised = await failure(scripted(wire.delta("Hel"), wire.delta("lo"), wire.usage(7, 2)))

    assert raised.partial is not None
    assert (raised.partial.text, raised.partial.status) == ("Hello", "in_progress")
    assert raised.partial.usage is not None


async def test_a_connection_that_breaks_behind_the_finish_reason_does_not_spoil_the_answer() -> None:
    transport = scripted(wire.delta("x"), wire.delta(finish="stop"), errors.ConnectionFailed("gone"))

    assert (await aquila.ask("hi", transport=transport)).text == "x"


@pytest.mark.parametrize(
    ("status", "body", "error", "retryable"),
    [
        (400, b'{"error":{"message":"bad"}}', errors.BadRequestError, False),
        (
            400,
            b'{"error":{"code":"context_length_exceeded","message":"x"}}',
            errors.ContextLengthError,
            False,
        ),
        (401, b'{"error":"bad key"}', errors.AuthenticationError, False),
        (403, b"<html>\n\nno</html>", errors.PermissionDeniedError, False),
        (404, b'{"error":{"message":"no such model"}}', errors.NotFoundError, False),
        (408, b"", errors.APIStatusError, True),
        (422, b'{"detail":"x"}', errors.BadRequestError, False),
        (429, b'{"error":{"message":"slow"}}', errors.RateLimitError, True),
        (429, b'{"error":{"code":"insufficient_quota","message":"x"}}', errors.QuotaExceededError, False),
        (500, b"", errors.InternalServerError, True),
        (502, b"bad gateway", errors.InternalServerError, True),
        (503, b"", errors.OverloadedError, True),
        (302, b"", errors.APIStatusError, False),
    ],
)
async def test_an_error_status_is_its_own_class(
    status: int, body: bytes, error: type, retryable: bool
) -> None:
    transport = scripted(
        body[:3], body[3:], status=status, headers={"x-request-id": "req_9", "retry-after": "7"}
    )

    raised = await failure(transport)

    assert type(raised) is error
    assert isinstance(raised, errors.APIStatusError)
    assert (raised.status_code, raised.retryable, raised.request_id) == (status, retryable, "req_9")
    assert raised.body == body.decode()
    if isinstance(raised, errors.RateLimitError):
        assert raised.retry_after == 7


async def test_an_error_never_holds_the_key() -> None:
    body = b'{"error":{"message":"Incorrect API key provided: sk-secret-1"}}'

    raised = await failure(scripted(body, status=401), api_key="sk-secret-1")

    assert "sk-secret-1" not in f"{raised} {raised!r} {raised.__dict__}"


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(Answer(status=503), id="503"),
        pytest.param(Answer(status=429, headers={"retry-after-ms": "1"}), id="429 with retry-after-ms"),
        pytest.param(
            Answer(chunks=[wire.event({"error": {"message": "x", "code": 503}})]), id="200, then overloaded"
        ),
        pytest.param(Answer(chunks=[wire.delta("", role="assistant")]), id="truncated before content"),
        pytest.param(Answer(chunks=[errors.ConnectionFailed("reset")]), id="broken before content"),
        pytest.param(errors.ConnectionFailed("refused"), id="refused"),
    ],
)
async def test_a_failure_before_content_is_retried_and_said(first: Answer | AquilaError) -> None:
    transport = ScriptedTransport(first, Answer(chunks=wire.answer("ok")))

    events = [event async for event in aquila.stream("hi", transport=transport, retry=QUICK)]

    retrying = [event for event in events if isinstance(event, aquila.Retrying)]
    assert [event.attempt for event in retrying] == [2]
    assert events[-1].response.text == "ok"  # type: ignore[union-attr]
    assert events[-1].response.attempts == 2  # type: ignore[union-attr]
    assert (len(transport.requests), transport.open) == (2, 0)


@pytest.mark.parametrize(
    ("first", "requests"),
    [
        pytest.param(Answer(chunks=[wire.delta("Hel")]), 1, id="truncated behind content"),
        pytest.param(
            Answer(chunks=[wire.delta("x"), wire.event({"error": {"code": 503}})]),
            1,
            id="error behind content",
        ),
        pytest.param(Answer(status=429, chunks=[b'{"error":{"code":"insufficient_quota"}}']), 1, id="quota"),
        pytest.param(Answer(status=429, headers={"retry-after": "3600"}), 1, id="asked to wait an hour"),
        pytest.param(Answer(status=401), 1, id="401"),
        pytest.param(Answer(status=500), 3, id="500 for ever"),
    ],
)
async def test_what_a_retry_cannot_mend_is_not_repeated(first: Answer, requests: int) -> None:
    transport = ScriptedTransport(first)

    raised = await failure(transport, retry=QUICK)

    assert (len(transport.requests), raised.attempts) == (requests, requests)


KEEP_ALIVE: list[bytes | float | AquilaError] = [b": ping\n\n", 0.01] * 500


@pytest.mark.parametrize(
    ("chunks", "timeouts", "error"),
    [
        pytest.param([30.0], Timeouts(silence=0.05), errors.SilenceTimeout, id="no byte at all"),
        pytest.param([wire.delta("x"), 30.0], Timeouts(silence=0.05), errors.SilenceTimeout, id="silence behind content"),
        pytest.param(KEEP_ALIVE, Timeouts(first_chunk=0.05), errors.FirstChunkTimeout, id="keep-alives, no content"),
        pytest.param([wire.delta("x"), *KEEP_ALIVE], Timeouts(idle=0.05), errors.IdleTimeout, id="keep-alives behind"),
        pytest.param([wire.delta("x"), 0.01] * 500, Timeouts(total=0.1), errors.TotalTimeout, id="steady but too long"),
    ],
)  # fmt: skip
async def test_each_clock_rings_for_its_own_reason(
    chunks: list[Any], timeouts: Timeouts, error: type
) -> None:
    with anyio.fail_after(3):
        raised = await failure(scripted(*chunks), timeout=timeouts, retry=QUICK)

    assert type(raised) is error
    assert isinstance(raised, errors.TimeoutExceeded)
    assert raised.seconds == getattr(timeouts, raised.clock)
    assert raised.attempts == 1
    assert raised.partial is not None


async def test_keep_alives_feed_the_silence_clock() -> None:
    chunks = [*KEEP_ALIVE[:40], *wire.answer("x")]

    answer = await aquila.ask("hi", transport=scripted(*chunks), timeout=Timeouts(silence=0.1))

    assert answer.text == "x"


async def test_a_slow_reader_trips_no_clock_but_total() -> None:
    limits = Timeouts(silence=0.05, first_chunk=0.05, idle=0.05)
    stream = aquila.stream("hi", transport=scripted(*wire.answer("a", "b", "c")), timeout=limits)

    async for _ in stream:
        await anyio.sleep(0.08)

    assert (await stream).text == "abc"


async def test_total_bounds_requests_and_pauses_together() -> None:
    transport = ScriptedTransport(Answer(status=503))

    with anyio.fail_after(3):
        raised = await failure(transport, timeout=0.3, retry=Retry(max_retries=50, min_backoff=0.05))

    assert isinstance(raised, errors.OverloadedError | errors.TotalTimeout)
    assert len(transport.requests) < 10


async def test_breaking_out_of_the_block_closes_the_connection() -> None:
    transport = scripted(wire.delta("x"), 30.0)

    async with aquila.stream("hi", transport=transport) as stream:
        async for event in stream:
            if isinstance(event, aquila.Chunk):
                break

    assert transport.open == 0


async def test_cancelling_the_reader_closes_the_connection() -> None:
    async def handler(connection: Connection) -> None:
        connection.start()
        connection.send(wire.delta("x"))
        await anyio.sleep_forever()

    async with wire.serve(handler) as server:
        with anyio.move_on_after(0.1):
            await aquila.ask("hi", base_url=server.url)
        with anyio.fail_after(5):
            await server.connections[0].closed.wait()


async def test_after_done_a_lingering_server_delays_nothing() -> None:
    async def handler(connection: Connection) -> None:
        connection.start()
        for chunk in wire.answer("x"):
            connection.send(chunk)
        await anyio.sleep_forever()

    async with wire.serve(handler) as server:
        with anyio.fail_after(3):
            assert (await aquila.ask("hi", base_url=server.url)).text == "x"


async def test_many_streams_one_after_the_other_use_one_connection() -> None:
    async def handler(connection: Connection) -> None:
        connection.play(wire.answer("x"))

    async with wire.serve(handler) as server:
        for _ in range(20):
            await aquila.ask("hi", base_url=server.url)

    assert server.sockets == 1


class Broken:
    strict = False

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.closed = 0

    async def emit(self, event: Event) -> None:
        self.events.append(event)
        raise ValueError("a sink's own trouble")

    async def aclose(self) -> None:
        self.closed += 1


async def test_a_sink_that_raises_is_logged_and_the_run_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    sink = Broken()

    with caplog.at_level(logging.ERROR, "aquila"):
        answer = await aquila.stream("hi", transport=scripted(*wire.answer("x")), sink=sink)

    assert answer.text == "x"
    assert sink.events[-1].type == "done"
    assert sink.closed == 1
    assert "sink_failed" in caplog.text


async def test_a_strict_sink_ends_the_run_and_the_connection() -> None:
    transport = scripted(*wire.answer("x"))
    sink = Broken()
    sink.strict = True

    with pytest.raises(ValueError, match="own trouble"):
        await aquila.stream("hi", transport=transport, sink=sink)

    assert transport.open == 0


@pytest.mark.parametrize("end", ["done", "failed", "closed", "cancelled"])
async def test_exactly_one_last_event_reaches_a_sink(end: str) -> None:
    seen: list[str] = []
    chunks: list[Any] = (
        wire.answer("x") if end == "done" else [wire.delta("x"), *([] if end == "failed" else [30.0])]
    )
    sink = aquila.sink.callback(lambda event: seen.append(event.type))
    stream = aquila.stream("hi", transport=scripted(*chunks), sink=sink)

    if end == "closed":
        async with stream:
            while (await anext(stream)).type != "chunk":
                continue
    else:
        with anyio.move_on_after(0.1 if end == "cancelled" else 5):
            try:
                await stream
            except errors.StreamTruncated:
                assert end == "failed"

    assert seen[-1] == ("done" if end == "done" else "failed")
    assert len([name for name in seen if name in {"done", "failed"}]) == 1


async def test_total_counts_the_time_in_sinks() -> None:
    async def slow(event: Event) -> None:
        await anyio.sleep(30)

    with anyio.fail_after(3), pytest.raises(errors.TotalTimeout):
        await aquila.stream(
            "hi", transport=scripted(*wire.answer("x")), sink=aquila.sink.callback(slow), timeout=0.1
        )


async def test_two_readers_of_one_stream_are_refused() -> None:
    stream = aquila.stream("hi", transport=scripted(0.05, *wire.answer("x")))
    outcomes: list[str] = []

    async def read() -> None:
        try:
            await stream
            outcomes.append("read")
        except RuntimeError:
            outcomes.append("refused")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        tasks.start_soon(read)

    assert sorted(outcomes) == ["read", "refused"]


async def test_the_text_alone_can_be_iterated() -> None:
    stream = aquila.stream("hi", transport=scripted(*wire.answer("Hel", "lo")))

    assert [text async for text in stream.text] == ["Hel", "lo"]


async def test_a_failed_stream_raises_once_while_iterated_and_again_when_asked_for_the_answer() -> None:
    stream = aquila.stream("hi", transport=scripted(wire.delta("x")))

    with pytest.raises(errors.StreamTruncated):
        [event async for event in stream]
    assert [event async for event in stream] == []
    with pytest.raises(errors.StreamTruncated):
        await stream
