"""Where a transport lives: event loops, threads, processes, and what is left of streams that nobody closes."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import anyio
import pytest
from anyio.from_thread import start_blocking_portal

import aquila
from aquila.transport import OpenAITransport, Request, openai_transport
from tests import wire
from tests.wire import Connection, Server


@dataclass
class Remote:
    """A server on an event loop of its own, which outlives the loops of its clients."""

    url: str
    server: Server


async def play(connection: Connection) -> None:
    connection.play(wire.answer("Hi"))


async def trickle(connection: Connection) -> None:
    connection.start()
    connection.send(wire.delta("x"))
    await anyio.sleep_forever()


@pytest.fixture
def remote() -> Iterator[Remote]:
    with ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal())
        server = stack.enter_context(portal.wrap_async_context_manager(wire.serve(play)))
        yield Remote(server.url, server)


async def ask(url: str, transport: OpenAITransport | None = None) -> str:
    return (await aquila.ask("hi", model="m", base_url=url, transport=transport)).text


def test_a_hundred_event_loops_one_after_the_other_leave_nothing_behind(remote: Remote) -> None:
    answers = {asyncio.run(ask(remote.url)) for _ in range(100)}

    assert answers == {"Hi"}
    assert remote.server.sockets == 100
    assert len(openai_transport()._pools) == 0
    until(lambda: remote.server.open == 0)


def test_threads_with_event_loops_of_their_own_share_one_transport(remote: Remote) -> None:
    transport = OpenAITransport()
    answers: list[str] = []

    def work() -> None:
        async def several() -> None:
            answers.extend([await ask(remote.url, transport) for _ in range(5)])

        asyncio.run(several())

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == ["Hi"] * 40
    assert remote.server.sockets == 8
    assert len(transport._pools) == 0


def test_a_forked_process_makes_connections_of_its_own_and_leaves_its_parent_s_alone(remote: Remote) -> None:
    loop = asyncio.new_event_loop()
    assert loop.run_until_complete(ask(remote.url)) == "Hi"
    reading, writing = os.pipe()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        # The same loop, as in a server that forks its workers, and one of its own.
        said = loop.run_until_complete(ask(remote.url)) + asyncio.run(ask(remote.url))
        gc.collect()
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    sockets = remote.server.sockets
    again = loop.run_until_complete(ask(remote.url))
    loop.run_until_complete(openai_transport().aclose())
    loop.close()

    assert (said, sockets) == ("HiHi", 3)
    # The parent's kept connection serves it still.
    assert (again, remote.server.sockets) == ("Hi", 3)


async def test_two_hundred_streams_left_by_a_bare_break_leave_no_connection() -> None:
    async with wire.serve(trickle) as server:
        with pytest.warns(ResourceWarning, match="left before its end"):
            for _ in range(200):
                async for event in aquila.stream("hi", model="m", base_url=server.url):
                    if isinstance(event, aquila.Chunk):
                        break
            gc.collect()
        with anyio.fail_after(5):
            for connection in server.connections:
                await connection.closed.wait()

    assert len(server.connections) == 200


async def test_two_hundred_streams_left_inside_a_with_block_are_closed_at_once() -> None:
    async with wire.serve(trickle) as server:
        for _ in range(200):
            async with aquila.stream("hi", model="m", base_url=server.url) as stream:
                async for event in stream:
                    if isinstance(event, aquila.Chunk):
                        break
        with anyio.fail_after(1):
            await server.connections[-1].closed.wait()

    assert server.open == 0


async def test_a_server_that_lingers_behind_the_end_does_not_delay_it() -> None:
    async def handler(connection: Connection) -> None:
        connection.start()
        for chunk in wire.answer("Hi"):
            connection.send(chunk)
        await anyio.sleep_forever()

    async with wire.serve(handler) as server:
        with anyio.fail_after(1):
            assert await ask(server.url) == "Hi"


async def test_a_hundred_whole_answers_use_one_connection() -> None:
    async with wire.serve(play) as server:
        for _ in range(100):
            await ask(server.url)

    assert server.sockets == 1


async def test_a_thousand_streams_are_open_at_once() -> None:
    # Both ends of each connection are files of this process.
    many = min(1000, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 3)
    asked = anyio.Event()

    async def handler(connection: Connection) -> None:
        if len(server.connections) == many:
            asked.set()
        await asked.wait()
        connection.play([b"x"])

    async def read() -> None:
        response = await transport.send(Request(method="POST", url=server.url))
        assert [chunk async for chunk in response.chunks] == [b"x"]
        await response.aclose()

    async with wire.serve(handler) as server:
        transport = OpenAITransport()
        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                for _ in range(many):
                    tasks.start_soon(read)
        await transport.aclose()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
