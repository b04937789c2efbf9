"""Background responses over a real socket: a lost stream goes on without gap or repeat, and nothing is paid for twice."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest

import aquila
from aquila import errors
from aquila.timeouts import Timeouts
from tests import responses_wire
from tests.fault_server import QUICK, Reply, all_closed, misbehave, refusal, reply

WHOLE = responses_wire.answer("Hel", "lo ", "wor", "ld")
TOO_OLD = refusal(
    "400 Bad", {"message": "This response can no longer be streamed: it is more than 5 minutes old"}
)


def snapshot(status: str, text: str = "") -> Reply:
    """The response as a GET without streaming gives it."""
    output = [responses_wire.message(text)] if text else []
    body = responses_wire.response(status, output, usage=responses_wire.usage(7, 4) if text else None)
    return reply(json.dumps(body).encode(), kind="application/json")


async def run(*replies: Reply, **options: Any) -> tuple[list[Any], list[str]]:
    """Give the events, and the first line of each request."""
    async with misbehave(*replies) as server:
        given = {"endpoint": "responses", "background": True, "retry": QUICK, **options}
        stream = aquila.stream("hi", base_url=server.url, **given)
        with anyio.fail_after(20):
            events = [event async for event in stream]
        lines = [
            connection.head.splitlines()[0].removesuffix(" HTTP/1.1") for connection in server.connections
        ]
    return events, lines


def text_of(events: list[Any]) -> str:
    return "".join(event.text for event in events if isinstance(event, aquila.Chunk))


@pytest.mark.parametrize("end", ["RESET", "CLOSE", "the body ends"])
@pytest.mark.parametrize("cut", range(1, len(WHOLE)))
async def test_a_stream_lost_anywhere_goes_on_behind_its_last_event(cut: int, end: Any) -> None:
    lost = reply(*WHOLE[:cut], *([] if end == "the body ends" else [end]))

    events, lines = await run(lost, reply(*WHOLE[cut:]))

    assert text_of(events) == events[-1].response.text == "Hello world"
    assert lines == ["POST /v1/responses", f"GET /v1/responses/resp_1?stream=true&starting_after={cut - 1}"]
    assert [event.sequence_number for event in events if isinstance(event, aquila.Resumed)] == [cut - 1]


async def test_a_server_that_repeats_events_is_read_without_repeats() -> None:
    events, _ = await run(reply(*WHOLE[:6], "RESET"), reply(*WHOLE))

    assert text_of(events) == "Hello world"


async def test_a_silent_stream_is_picked_up_too() -> None:
    silent = reply(*WHOLE[:6], "LINGER")

    events, lines = await run(silent, reply(*WHOLE[6:]), timeout=Timeouts(silence=0.2))

    assert text_of(events) == "Hello world"
    assert len(lines) == 2


async def test_a_response_too_old_for_a_stream_is_asked_for_until_it_is_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("aquila.pickup._FIRST_PAUSE", 0.01)
    replies = [reply(*WHOLE[:6], "RESET"), TOO_OLD, snapshot("in_progress"), snapshot("in_progress", "Hello w"),
               snapshot("completed", "Hello world")]  # fmt: skip

    events, lines = await run(*replies)

    assert text_of(events) == events[-1].response.text == "Hello world"
    assert events[-1].response.usage.output_tokens == 4
    assert lines == [
        "POST /v1/responses", "GET /v1/responses/resp_1?stream=true&starting_after=5",
        *["GET /v1/responses/resp_1"] * 3,
    ]  # fmt: skip


async def test_a_stream_lost_before_the_response_has_an_id_is_asked_for_anew() -> None:
    events, lines = await run(reply("RESET"), reply(*WHOLE))

    assert text_of(events) == "Hello world"
    assert lines == ["POST /v1/responses"] * 2


@pytest.mark.parametrize("polled", ["failed", "cancelled"])
async def test_a_response_that_failed_meanwhile_is_an_error_with_what_came(polled: str) -> None:
    async with misbehave(reply(*WHOLE[:6], "RESET"), TOO_OLD, snapshot(polled)) as server:
        with anyio.fail_after(10), pytest.raises(errors.ProviderStreamError) as caught:
            await aquila.ask("hi", base_url=server.url, endpoint="responses", background=True, retry=QUICK)

    assert caught.value.partial is not None
    assert caught.value.partial.text == "Hello "
    assert len([item for item in server.connections if item.head.startswith("POST")]) == 1


async def test_a_server_that_keeps_losing_the_stream_at_one_place_is_given_up() -> None:
    async with misbehave(reply(*WHOLE[:6], "RESET"), reply("RESET")) as server:
        with anyio.fail_after(10), pytest.raises(errors.ConnectionFailed) as caught:
            await aquila.ask("hi", base_url=server.url, endpoint="responses", background=True, retry=QUICK)
        await all_closed(server)

    assert caught.value.partial is not None
    assert caught.value.partial.text == "Hello "
    assert 2 <= len(server.connections) <= 4


async def test_total_bounds_the_polling() -> None:
    async with misbehave(reply(*WHOLE[:6], "RESET"), TOO_OLD, snapshot("in_progress")) as server:
        with anyio.fail_after(5), pytest.raises(errors.TotalTimeout):
            await aquila.ask("hi", base_url=server.url, endpoint="responses", background=True, timeout=0.5)


async def test_without_background_a_lost_stream_is_an_error() -> None:
    async with misbehave(reply(*WHOLE[:6], "RESET")) as server:
        with pytest.raises(errors.ConnectionFailed):
            await aquila.ask("hi", base_url=server.url, endpoint="responses", retry=QUICK)

    assert len(server.connections) == 1


async def test_a_cancelled_poll_leaves_nothing_open() -> None:
    async with misbehave(reply(*WHOLE[:6], "RESET"), TOO_OLD, reply(before=["LINGER"])) as server:
        with anyio.move_on_after(0.5):
            await aquila.ask("hi", base_url=server.url, endpoint="responses", background=True, retry=QUICK)

        await all_closed(server)
