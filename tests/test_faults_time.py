"""Servers that stall, keep alive or drip, over a real socket: each clock for its own reason, and none too late."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest

import aquila
from aquila import errors
from aquila.retry import Retry
from aquila.timeouts import Timeouts
from tests import wire
from tests.fault_server import BOTH, QUICK, Api, Case, Chat, all_closed, check, misbehave, refusal, reply

SHORT = 0.15


def limits(**clocks: float) -> dict[str, Any]:
    return {"timeout": Timeouts(**clocks)}


def stalls(api: Api) -> list[Case]:
    said, answer = api.said("Hel"), api.answer("Hel", "lo")
    return [
        Case(name="a server that never answers, under total", replies=[reply(before=["LINGER"])],
             error=errors.TotalTimeout, options={"timeout": SHORT}, closed=True),
        Case(name="a server that never answers, under silence", replies=[reply(before=["LINGER"])],
             error=errors.SilenceTimeout, options=limits(silence=SHORT), closed=True),
        Case(name="a head and nothing more", replies=[reply("LINGER")],
             error=errors.SilenceTimeout, options=limits(silence=SHORT), closed=True),
        Case(name="silence behind content", replies=[reply(*said, "LINGER")], partial="Hel",
             error=errors.SilenceTimeout, options=limits(silence=SHORT), closed=True),
        Case(name="keep-alives behind content", replies=[reply(*said, "FOREVER")], partial="Hel",
             error=errors.IdleTimeout, options=limits(silence=30, idle=SHORT), closed=True),
        Case(name="keep-alives before content", replies=[reply("FOREVER")],
             error=errors.FirstChunkTimeout, options=limits(silence=30, first_chunk=SHORT), closed=True),
        Case(name="an opening and keep-alives behind it", replies=[reply(said[0], "FOREVER")],
             error=errors.FirstChunkTimeout, options=limits(silence=30, first_chunk=SHORT), closed=True),
        Case(name="keep-alives under total", replies=[reply(*said, "FOREVER")], partial="Hel",
             error=errors.TotalTimeout, options={"timeout": SHORT}, closed=True),
        Case(name="failures for ever under total, whose pause it does not leave", replies=[refusal("503 Busy")],
             error=errors.OverloadedError, requests=1,
             options={"timeout": SHORT, "retry": Retry(max_retries=9, min_backoff=9, max_backoff=9)}),
        Case(name="a server that stalls is not asked again", replies=[reply("LINGER"), reply(*answer)],
             error=errors.SilenceTimeout, options=limits(silence=SHORT), closed=True),
        Case(name="a pause that is shorter than every clock", text="Hello",
             replies=[reply(*answer[:4], 0.1, *answer[4:])], options=limits(silence=5, idle=5, first_chunk=5)),
        Case(name="keep-alives feed the silence clock", text="Hello",
             replies=[reply(*[b": ping\n\n", 0.05] * 12, *answer)], options=limits(silence=0.5)),
    ]  # fmt: skip


ROWS = [(api, case) for api in BOTH for case in stalls(api)]


@pytest.mark.parametrize(
    ("api", "case"), [pytest.param(api, case, id=f"{api.endpoint}: {case.name}") for api, case in ROWS]
)
async def test_a_clock_ends_what_does_not_come(api: Api, case: Case) -> None:
    await check(case, api)


@pytest.mark.parametrize("api", BOTH)
async def test_an_answer_that_goes_on_and_on_ends_with_total(api: Api) -> None:
    drip = [part for text in "abcdefghij" * 40 for part in (0.01, api.said(text)[-1])]

    async with misbehave(reply(api.said()[0], *drip)) as server:
        with anyio.fail_after(5), pytest.raises(errors.TotalTimeout) as caught:
            await aquila.ask("hi", base_url=server.url, endpoint=api.endpoint, timeout=0.25)
        await all_closed(server)

    assert caught.value.partial is not None
    assert caught.value.partial.text.startswith("a")


@pytest.mark.parametrize(
    "feed",
    [
        pytest.param({"reasoning_content": "hm"}, id="reasoning"),
        pytest.param(
            {"tool_calls": [{"index": 0, "function": {"arguments": " "}}]}, id="arguments of a call"
        ),
    ],
)
async def test_work_that_is_no_text_feeds_the_content_clocks(feed: dict[str, Any]) -> None:
    opening = wire.delta(tool_calls=[{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{"}}])
    work = [part for _ in range(12) for part in (wire.delta(**feed), 0.05)]
    closing = wire.delta(tool_calls=[{"index": 0, "function": {"arguments": "}"}}])
    chunks = [opening, *work, closing, *wire.answer("Hi")]

    async with misbehave(reply(*chunks)) as server:
        answer = await aquila.ask("hi", base_url=server.url, timeout=Timeouts(first_chunk=0.5, idle=0.5))

    assert answer.text == "Hi"


async def test_total_bounds_attempts_and_pauses_together() -> None:
    patient = Retry(max_retries=50, min_backoff=0.05, max_backoff=0.05)

    async with misbehave(refusal("503 Busy", None)) as server:
        with anyio.fail_after(3), pytest.raises((errors.OverloadedError, errors.TotalTimeout)):
            await aquila.ask("hi", base_url=server.url, timeout=0.3, retry=patient)

    assert 2 <= len(server.connections) <= 8


async def test_retries_do_not_multiply_a_time_out() -> None:
    async with misbehave(reply(before=["LINGER"])) as server:
        began = anyio.current_time()
        with pytest.raises(errors.TotalTimeout):
            await aquila.ask("hi", base_url=server.url, timeout=0.2, retry=Retry(max_retries=5))
        took = anyio.current_time() - began

    # Six times the limit would be what a time-out for each request comes to.
    assert took < 1.0
    assert len(server.connections) == 1


async def test_a_connection_that_is_never_made_has_its_own_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(*_: Any, **__: Any) -> None:
        await anyio.sleep_forever()

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", hang)
    with anyio.fail_after(5), pytest.raises(errors.AquilaError) as caught:
        await aquila.ask("hi", base_url="http://127.0.0.1:9/v1", timeout=Timeouts(connect=0.1), retry=0)

    assert isinstance(caught.value, errors.ConnectTimeout)
    assert (caught.value.seconds, caught.value.clock) == (0.1, "connect")


async def test_a_slow_reader_trips_no_clock_of_the_source() -> None:
    answer = [part for chunk in wire.answer(*"abc") for part in (chunk, 0.01)]

    async with misbehave(reply(*answer)) as server:
        stream = aquila.stream(
            "hi", base_url=server.url, timeout=Timeouts(silence=0.4, first_chunk=0.4, idle=0.4)
        )
        async for event in stream:
            if isinstance(event, aquila.Chunk):
                await anyio.sleep(0.45)

    assert (await stream).text == "abc"


async def test_a_time_out_names_its_clock_and_its_limit_and_is_not_retryable() -> None:
    error = await check(
        Case(name="", replies=[reply(*Chat.said("Hel"), "FOREVER")], error=errors.IdleTimeout, partial="Hel",
             options=limits(idle=SHORT)), Chat,
    )  # fmt: skip

    assert isinstance(error, errors.IdleTimeout)
    assert (error.clock, error.seconds, error.retryable) == ("idle", SHORT, False)


async def test_a_new_request_begins_with_fresh_clocks() -> None:
    slow = reply(0.3, "RESET")

    async with misbehave(slow, slow, reply(0.3, *wire.answer("Hi"))) as server:
        answer = await aquila.ask("hi", base_url=server.url, retry=QUICK, timeout=Timeouts(first_chunk=0.8))

    assert (answer.text, answer.attempts) == ("Hi", 3)
