"""Leaving a run at any point, over a real socket: the server sees the connection close, and nothing stays open."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import anyio
import anyio.lowlevel
import pytest

import aquila
from aquila import errors
from aquila.retry import Retry
from aquila.transport import OpenAITransport
from tests import wire
from tests.fault_server import BOTH, Api, Chat, Reply, all_closed, misbehave, play, refusal, reply
from tests.wire import Connection

CALL = Chat.calls(("c1", "slow", "{}"))


@pytest.mark.parametrize("api", BOTH)
async def test_breaking_out_of_the_block_closes_the_connection(api: Api) -> None:
    async with misbehave(reply(*api.said("Hel"), "LINGER")) as server:
        async with aquila.stream("hi", base_url=server.url, endpoint=api.endpoint) as stream:  # type: ignore[arg-type]
            async for event in stream:
                if isinstance(event, aquila.Chunk):
                    break

        await all_closed(server)


async def test_a_stream_that_is_left_is_closed_with_a_warning() -> None:
    async with misbehave(reply(*Chat.said("Hel"), "LINGER")) as server:
        stream = aquila.stream("hi", base_url=server.url)
        async for event in stream:
            if isinstance(event, aquila.Chunk):
                break

        with pytest.warns(ResourceWarning, match="left"):
            del stream, event
            gc.collect()
        await all_closed(server)


async def test_two_hundred_streams_left_in_the_middle_leave_no_connection() -> None:
    async with misbehave(reply(*Chat.said("Hel"), "LINGER")) as server:

        async def leave() -> None:
            async with aquila.stream("hi", base_url=server.url) as stream:
                async for event in stream:
                    if isinstance(event, aquila.Chunk):
                        return

        for _ in range(10):
            async with anyio.create_task_group() as tasks:
                for _ in range(20):
                    tasks.start_soon(leave)

        await all_closed(server)
        assert len(server.connections) == 200


@pytest.mark.filterwarnings("ignore:.*left before its end:ResourceWarning")
async def test_streams_that_nobody_closes_are_closed_when_they_are_thrown_away() -> None:
    async with misbehave(reply(*Chat.said("Hel"), "LINGER")) as server:
        for _ in range(50):
            stream = aquila.stream("hi", base_url=server.url)
            while (await anext(stream)).type != "chunk":
                continue
            del stream
        gc.collect()

        await all_closed(server)
        assert len(server.connections) == 50


async def slow() -> str:
    """Take long."""
    await anyio.sleep_forever()
    return ""


#: Where a run is when it is cancelled: what the server does, and more options.
PLACES = [
    pytest.param(reply(before=["LINGER"]), {}, id="waiting for the head"),
    pytest.param(reply("LINGER"), {}, id="waiting for the first byte"),
    pytest.param(reply(*Chat.said("Hel"), "LINGER"), {}, id="in the middle of the stream"),
    pytest.param(reply(*Chat.said("Hel"), "FOREVER"), {}, id="among keep-alives"),
    pytest.param(reply(b'{"error":', "LINGER", status="401 No"), {}, id="reading the body of an error"),
    pytest.param(
        refusal("503 Busy"), {"retry": Retry(min_backoff=60, max_backoff=60)}, id="waiting to try again"
    ),
    pytest.param(reply(*CALL), {"tools": [slow]}, id="in a tool"),
]


@pytest.mark.parametrize(("answer", "options"), PLACES)
@pytest.mark.parametrize("times", [1, 2], ids=["once", "twice"])
async def test_a_cancelled_run_leaves_nothing_open(
    answer: Reply, options: dict[str, Any], times: int
) -> None:
    ends: list[str] = []
    sink = aquila.sink.callback(lambda event: ends.append(event.type))
    reached = anyio.Event()

    async def handler(connection: Connection) -> None:
        reached.set()
        await play(connection, answer)

    async with wire.serve(handler) as server:
        task = asyncio.ensure_future(aquila.ask("hi", base_url=server.url, sink=sink, **options))
        with anyio.fail_after(5):
            await reached.wait()
            await anyio.sleep(0.1)
            for _ in range(times):
                task.cancel()
                await anyio.lowlevel.checkpoint()
            with pytest.raises(asyncio.CancelledError):
                await task

        # An answer that was read to its end leaves a connection for the next request.
        if not options:
            await all_closed(server)
        assert len(server.connections) == 1
    assert ends[-1] == "failed"


async def test_a_run_cancelled_while_it_connects_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    connecting = anyio.Event()

    async def hang(*_: Any, **__: Any) -> None:
        connecting.set()
        await anyio.sleep_forever()

    async with misbehave(reply(*wire.answer("Hi"))) as server:
        with monkeypatch.context() as patch:
            patch.setattr(asyncio.get_running_loop(), "sock_connect", hang)
            task = asyncio.ensure_future(aquila.ask("hi", base_url=server.url))
            with anyio.fail_after(5):
                await connecting.wait()
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task

        assert (await aquila.ask("hi", base_url=server.url)).text == "Hi"
        assert server.sockets == 1


async def test_a_connection_whose_answer_was_read_is_used_again_after_an_error_too() -> None:
    replies = [
        refusal("400 Bad", {"message": "no"}),
        reply(*wire.answer("A")),
        reply(Chat.whole("B"), kind="application/json"),
        reply(*wire.answer("C")),
    ]

    async with misbehave(*replies) as server:
        with pytest.raises(errors.BadRequestError):
            await aquila.ask("hi", base_url=server.url)
        texts = [(await aquila.ask("hi", base_url=server.url)).text for _ in range(3)]

    assert texts == ["A", "B", "C"]
    assert server.sockets == 1


async def test_a_hundred_streams_one_after_the_other_use_one_connection() -> None:
    async with misbehave(reply(*wire.answer("x"))) as server:
        for _ in range(100):
            await aquila.ask("hi", base_url=server.url)

    assert server.sockets == 1


async def test_a_reader_that_times_out_may_begin_anew_at_once() -> None:
    async with misbehave(reply(*Chat.said("Hel"), "LINGER"), reply(*wire.answer("Hi"))) as server:
        with anyio.move_on_after(0.15):
            await aquila.ask("hi", base_url=server.url)

        assert (await aquila.ask("hi", base_url=server.url)).text == "Hi"


async def test_runs_cancelled_at_any_moment_leave_nothing_open() -> None:
    transport = OpenAITransport()
    answer = reply(*(part for chunk in wire.answer("Hel", "lo") for part in (chunk, 0.002)), before=[0.002])

    async with misbehave(answer) as server:

        async def cancelled_after(seconds: float) -> None:
            with anyio.move_on_after(seconds):
                await aquila.ask("hi", base_url=server.url, transport=transport)

        with anyio.fail_after(30):
            for start in range(0, 200, 20):
                async with anyio.create_task_group() as tasks:
                    for step in range(start, start + 20):
                        tasks.start_soon(cancelled_after, step * 0.0002)
        # What was read to its end waits for the next request; all else is closed by now.
        await transport.aclose()
        await all_closed(server)
