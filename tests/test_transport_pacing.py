from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable

import anyio
import pytest

from aquila.errors import ConfigError, ConnectionFailed, RateLimitError
from aquila.testing import Answer, ScriptedTransport
from aquila.transport import OpenAITransport, PacedTransport, Pacing, Request, TransportResponse


def request(model: str = "m", key: str = "k", host: str = "a.example") -> Request:
    headers = {"authorization": f"Bearer {key}"}
    return Request(method="POST", url=f"https://{host}/v1/chat/completions", headers=headers, model=model)


async def seconds_of(work: Callable[[], object]) -> float:
    began = anyio.current_time()
    await work()  # type: ignore[misc]
    return anyio.current_time() - began


async def send_and_close(transport: PacedTransport, message: Request | None = None) -> None:
    await (await transport.send(message or request())).aclose()


async def test_a_request_beyond_the_limit_waits_for_its_turn() -> None:
    inner = ScriptedTransport(Answer())
    transport = PacedTransport(inner, Pacing(max_requests_per_minute=600))

    async def several() -> None:
        for _ in range(12):
            await send_and_close(transport)

    # Ten go at once; each further one waits a tenth of a second.
    assert 0.18 <= await seconds_of(several) < 2


async def test_requests_go_in_the_order_of_their_coming() -> None:
    inner = ScriptedTransport(Answer())
    transport = PacedTransport(inner, Pacing(max_requests_per_minute=3000, max_concurrent=1))

    async with anyio.create_task_group() as tasks:
        for number in range(60):
            message = Request(method="POST", url="http://a", body=str(number).encode())
            tasks.start_soon(send_and_close, transport, message)

    assert [int(sent.body) for sent in inner.requests] == list(range(60))


async def test_a_place_is_free_again_when_the_response_is_closed() -> None:
    inner = ScriptedTransport(Answer())
    transport = PacedTransport(inner, Pacing(max_concurrent=2))
    responses: list[TransportResponse] = []

    async def hold() -> None:
        responses.append(await transport.send(request()))

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(hold)
        await anyio.wait_all_tasks_blocked()
        assert (len(responses), inner.open) == (2, 2)
        await responses[0].aclose()
        await responses[0].aclose()
        await anyio.wait_all_tasks_blocked()
        assert (len(responses), inner.open) == (3, 2)
    for response in responses:
        await response.aclose()

    assert inner.open == 0


async def test_servers_keys_and_models_do_not_wait_for_each_other() -> None:
    transport = PacedTransport(ScriptedTransport(Answer()), Pacing(max_concurrent=1))
    messages = [request(), request(model="n"), request(key="l"), request(host="b.example")]

    with anyio.fail_after(5):
        responses = [await transport.send(message) for message in messages]
    for response in responses:
        await response.aclose()

    assert len(responses) == 4


async def test_no_key_is_kept() -> None:
    transport = PacedTransport(ScriptedTransport(Answer()))

    await send_and_close(transport, request(key="sk-secret-secret"))

    lanes = transport._lanes[asyncio.get_running_loop()]
    assert "sk-secret" not in repr(list(lanes))


async def test_a_request_that_fails_gives_its_place_back() -> None:
    transport = PacedTransport(
        ScriptedTransport(ConnectionFailed("no"), ConnectionFailed("no"), Answer()), Pacing(max_concurrent=1)
    )

    with anyio.fail_after(5):
        for _ in range(2):
            with pytest.raises(ConnectionFailed):
                await transport.send(request())
        await send_and_close(transport)


async def test_a_cancelled_request_leaves_the_line_and_keeps_nobody_waiting() -> None:
    transport = PacedTransport(ScriptedTransport(Answer()), Pacing(max_concurrent=1))
    first = await transport.send(request())

    for _ in range(3):
        with anyio.move_on_after(0.01) as scope:
            await transport.send(request())
        assert scope.cancelled_caught
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(send_and_close, transport)
        await anyio.wait_all_tasks_blocked()
        with anyio.fail_after(5):
            await first.aclose()

    lane = next(iter(transport._lanes[asyncio.get_running_loop()].values()))
    assert lane.users == 0


async def test_a_response_that_is_left_gives_its_place_back() -> None:
    transport = PacedTransport(ScriptedTransport(Answer()), Pacing(max_concurrent=1))

    response = await transport.send(request())
    del response
    gc.collect()

    with anyio.fail_after(5):
        await send_and_close(transport)


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (200, {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "200ms"}),
        (200, {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "0.2"}),
        (429, {"retry-after-ms": "200"}),
    ],
)
async def test_the_next_request_waits_as_long_as_the_provider_says(
    status: int, headers: dict[str, str]
) -> None:
    transport = PacedTransport(ScriptedTransport(Answer(status=status, headers=headers)))

    await send_and_close(transport)
    waited = await seconds_of(lambda: send_and_close(transport))

    assert 0.18 <= waited < 2


@pytest.mark.parametrize(
    ("pacing", "answer"),
    [
        (Pacing(obey_headers=False), Answer(status=429, headers={"retry-after": "50"})),
        (Pacing(), Answer(status=200, headers={"retry-after": "50"})),
        (
            Pacing(),
            Answer(headers={"x-ratelimit-remaining-requests": "1", "x-ratelimit-reset-requests": "50s"}),
        ),
    ],
)
async def test_nobody_waits_without_a_reason(pacing: Pacing, answer: Answer) -> None:
    transport = PacedTransport(ScriptedTransport(answer), pacing)

    with anyio.fail_after(5):
        await send_and_close(transport)
        await send_and_close(transport)


async def test_a_pause_that_is_too_long_is_told_at_once_with_its_length() -> None:
    inner = ScriptedTransport(Answer(status=429, headers={"retry-after": "3600"}))
    transport = PacedTransport(inner)
    await send_and_close(transport)

    with anyio.fail_after(5), pytest.raises(RateLimitError, match="longer than max_wait=60") as caught:
        await transport.send(request())

    assert caught.value.retryable
    assert caught.value.retry_after == pytest.approx(3600, abs=30)
    assert len(inner.requests) == 1


async def test_what_is_remembered_is_bounded() -> None:
    transport = PacedTransport(ScriptedTransport(Answer()), Pacing(max_concurrent=1))
    held = await transport.send(request(model="held"))

    for number in range(1500):
        await send_and_close(transport, request(model=str(number)))

    lanes = transport._lanes[asyncio.get_running_loop()]
    assert len(lanes) == 1024
    assert "held" in {model for _, _, model in lanes}
    await held.aclose()


def test_event_loops_count_each_for_itself() -> None:
    transport = PacedTransport(
        ScriptedTransport(Answer()), Pacing(max_concurrent=1, max_requests_per_minute=60)
    )

    async def once() -> None:
        with anyio.fail_after(0.5):
            await send_and_close(transport)

    for _ in range(3):
        asyncio.run(once())

    gc.collect()
    assert len(transport._lanes) == 0


@pytest.mark.parametrize(
    "wrong", [{"max_requests_per_minute": 0}, {"max_concurrent": -1}, {"max_wait": -1.0}]
)
def test_a_limit_that_lets_nobody_through_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Pacing(**wrong)  # type: ignore[arg-type]


def test_it_tells_the_base_url_of_what_is_inside() -> None:
    assert PacedTransport(OpenAITransport(base_url="http://host/v1/")).base_url == "http://host/v1"
    assert PacedTransport(ScriptedTransport(Answer())).base_url is None
