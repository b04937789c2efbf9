from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from aquila import errors
from aquila.cassette import use
from aquila.reply import Reply
from aquila.retry import Retry
from aquila.roundtrip import Line
from aquila.testing import Answer, ScriptedTransport
from aquila.timeouts import Timeouts
from tests import wire

FAST = Retry(min_backoff=0.001, max_backoff=0.001)
BROKEN = errors.ConnectionFailed("it broke")
OK = Answer(headers={"x-request-id": "req_1"}, chunks=[b"o", b"k"])


def body_of(reply: Reply) -> bytes:
    return reply.body


async def ask(
    transport: ScriptedTransport,
    *,
    repeatable: bool = True,
    read: Callable[[Reply], bytes] = body_of,
    clocks: Timeouts | float | None = None,
    retry: Retry = FAST,
) -> tuple[bytes, int]:
    async with Line({"transport": transport, "retry": retry, "timeout": clocks}) as line:
        return await line.send("POST", "/x", read, body=b"{}", repeatable=repeatable), line.attempts


@pytest.mark.parametrize(
    "first",
    [
        BROKEN,
        errors.ConnectTimeout("slow", seconds=1),
        Answer(status=503, chunks=[b"busy"]),
        Answer(status=429, headers={"retry-after": "0"}, chunks=[b"slow down"]),
        Answer(status=500, chunks=[BROKEN]),
    ],
)
@pytest.mark.parametrize("repeatable", [True, False])
async def test_what_failed_before_an_answer_is_sent_again(
    first: Answer | errors.AquilaError, repeatable: bool
) -> None:
    transport = ScriptedTransport(first, OK)

    body, attempts = await ask(transport, repeatable=repeatable)

    assert (body, attempts) == (b"ok", 2)
    assert transport.open == 0


async def test_an_answer_that_broke_off_is_asked_for_again_unless_the_request_changes_something() -> None:
    cut = Answer(chunks=[b"o", BROKEN])

    assert await ask(ScriptedTransport(cut, OK)) == (b"ok", 2)
    transport = ScriptedTransport(cut, OK)
    with pytest.raises(errors.ConnectionFailed) as caught:
        await ask(transport, repeatable=False)

    assert caught.value.attempts == 1
    assert (len(transport.requests), transport.open) == (1, 0)


async def test_an_answer_that_says_it_is_an_error_may_be_a_reason_to_ask_again() -> None:
    def overloaded_once(reply: Reply) -> bytes:
        if len(transport.requests) == 1:
            raise errors.OverloadedError("busy", status_code=503)
        return reply.body

    transport = ScriptedTransport(OK)

    assert await ask(transport, read=overloaded_once, repeatable=False) == (b"ok", 2)


async def test_an_error_inside_a_good_answer_carries_the_request_s_id() -> None:
    def refuse(reply: Reply) -> bytes:
        raise errors.ProtocolError("no")

    with pytest.raises(errors.ProtocolError) as caught:
        await ask(ScriptedTransport(OK), read=refuse)

    assert caught.value.request_id == "req_1"


async def test_retries_end_and_the_last_error_counts_the_requests() -> None:
    with pytest.raises(errors.OverloadedError) as caught:
        await ask(ScriptedTransport(Answer(status=503)))

    assert caught.value.attempts == 3


async def test_a_wait_longer_than_allowed_is_the_caller_s_to_plan() -> None:
    transport = ScriptedTransport(Answer(status=429, headers={"retry-after": "3600"}))

    with pytest.raises(errors.RateLimitError) as caught:
        await ask(transport)

    assert (caught.value.retry_after, len(transport.requests)) == (3600, 1)


async def test_a_pause_that_the_deadline_cuts_short_is_not_made() -> None:
    with pytest.raises(errors.RateLimitError):
        await ask(ScriptedTransport(Answer(status=429, headers={"retry-after": "30"})), clocks=5.0)


@pytest.mark.parametrize(
    ("timeouts", "chunks", "kind"),
    [
        (Timeouts(silence=0.05), [30.0], errors.SilenceTimeout),
        (Timeouts(silence=None, first_chunk=0.05), [30.0], errors.FirstChunkTimeout),
        (Timeouts(idle=0.05), [b"o", 30.0], errors.IdleTimeout),
        (Timeouts(total=0.05), [b"o", 30.0], errors.TotalTimeout),
    ],
)
async def test_each_clock_ends_the_wait_as_its_own_error(
    timeouts: Timeouts, chunks: list[bytes | float | errors.AquilaError], kind: type[errors.TimeoutExceeded]
) -> None:
    transport = ScriptedTransport(Answer(chunks=chunks))

    with pytest.raises(kind):
        await ask(transport, clocks=timeouts)

    assert (len(transport.requests), transport.open) == (1, 0)


async def test_an_error_status_counts_although_its_body_never_ends() -> None:
    transport = ScriptedTransport(Answer(status=404, chunks=[b"x" * 70_000, b"y", 30.0]))

    with anyio.fail_after(5), pytest.raises(errors.NotFoundError):
        await ask(transport)

    assert transport.open == 0


async def test_a_cancelled_caller_leaves_no_connection_behind() -> None:
    async def handle(connection: wire.Connection) -> None:
        connection.start(kind="application/json")
        connection.send(b"{")
        reading.set()

    async with wire.serve(handle) as server:
        reading = anyio.Event()

        async def run() -> None:
            async with Line({"base_url": server.url}) as line:
                await line.send("GET", "/x", body_of)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            await reading.wait()
            tasks.cancel_scope.cancel()
        with anyio.fail_after(5):
            await server.connections[0].closed.wait()


async def test_a_line_that_is_not_entered_says_so() -> None:
    with pytest.raises(RuntimeError, match="async with"):
        await Line({"transport": ScriptedTransport(OK)}).send("GET", "/x", body_of)


class Unwritable(ScriptedTransport):
    """Finds out at its end that something is wrong."""

    async def aclose(self) -> None:
        raise errors.CassetteError("cannot be written")


async def through(transport: ScriptedTransport) -> bytes:
    line = Line({"retry": 0})
    line.destination = replace(line.destination, transport=lambda: transport)
    async with line:
        return await line.send("GET", "/x", body_of)


async def test_a_recording_that_cannot_be_written_is_an_error_unless_there_is_another(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(errors.CassetteError, match="cannot be written"):
        await through(Unwritable(OK))
    with pytest.raises(errors.OverloadedError):
        await through(Unwritable(Answer(status=503)))

    assert [record.getMessage().partition(" ")[0] for record in caplog.records] == ["line_closed_badly"]


async def test_each_request_is_one_log_line_without_content(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "aquila")

    await ask(ScriptedTransport(Answer(status=503), OK))

    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2
    assert "status=503" in lines[0]
    assert "error=OverloadedError" in lines[0]
    assert "status=200 request_id=req_1 attempt=2" in lines[1]


async def test_requests_are_recorded_and_played_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AQUILA_CASSETTE_DIR", str(tmp_path))
    inner = ScriptedTransport(Answer(status=503, chunks=[b"busy"]), OK)

    with use("one", mode="rewrite"):
        first = await ask(inner)
    with use("one", mode="none"):
        again = await ask(ScriptedTransport(BROKEN))

    assert first == again == (b"ok", 2)


async def test_a_cassette_without_the_retry_tells_why_there_was_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AQUILA_CASSETTE_DIR", str(tmp_path))
    with use("one", mode="rewrite"), pytest.raises(errors.OverloadedError):
        await ask(ScriptedTransport(Answer(status=503, chunks=[b"busy"])), retry=Retry(max_retries=0))

    with use("one", mode="none"), pytest.raises(errors.OverloadedError):
        await ask(ScriptedTransport(BROKEN))
