"""What runs leave behind that are cancelled, broken off or fail: nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest

import aquila
from aquila import errors
from aquila.transport import OpenAITransport
from tests import wire
from tests.cancel_places import PLACES, Place, Reached, whole
from tests.fault_server import BOTH, Api, Chat, all_closed
from tests.rounds import scripted
from tests.wire import Connection


async def cancel(task: asyncio.Future[Any], times: int) -> None:
    for _ in range(times):
        task.cancel()
        await anyio.lowlevel.checkpoint()
    with anyio.fail_after(5), pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
async def test_behind_a_cancelled_run_no_connection_is_in_use(place: Place, times: int) -> None:
    api = Chat
    reached, before = Reached(), asyncio.all_tasks()
    answering = False

    async def handler(connection: Connection) -> None:
        number = len(server.connections)
        await (whole if answering else place.serve)(api, connection, reached, number)

    transport = OpenAITransport()
    async with wire.serve(handler) as server:
        given = {"transport": transport, "base_url": server.url, "endpoint": api.endpoint}
        task = asyncio.ensure_future(_awaited(aquila.stream("hi", **given, **place.options(reached))))
        with anyio.fail_after(5):
            await reached.event.wait()
        # What the server has sent is on its way.
        await anyio.sleep(0.02)

        await cancel(task, times)

        if not place.kept:
            await all_closed(server)
        sockets, answering = server.sockets, True
        assert (await aquila.ask("hi", **given)).text == "Hello"
        assert server.sockets == (sockets if place.kept else sockets + 1)
        await transport.aclose()
        await all_closed(server)
    assert asyncio.all_tasks() == before


async def _awaited(stream: aquila.Stream[Any]) -> Any:
    return await stream


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
async def test_behind_a_run_that_took_too_long_no_connection_is_in_use(place: Place) -> None:
    api, reached = Chat, Reached()
    transport = OpenAITransport()

    async def handler(connection: Connection) -> None:
        await place.serve(api, connection, reached, len(server.connections))

    async with wire.serve(handler) as server:
        with anyio.fail_after(5), pytest.raises((errors.TotalTimeout, errors.APIStatusError)):
            await aquila.ask(
                "hi", transport=transport, base_url=server.url, timeout=0.2, **place.options(reached)
            )
        if place.kept:
            await transport.aclose()
        await all_closed(server)


@pytest.mark.parametrize("api", BOTH, ids=lambda api: api.endpoint)
async def test_a_run_given_up_between_rounds_leaves_nothing_open(api: Api) -> None:
    transport = scripted(api.calls(("c1", "go", "{}")), [*api.said("Hel"), 30.0])
    ran: list[int] = []
    stream = aquila.stream(
        "hi",
        transport=transport,
        endpoint=api.endpoint,
        tools=[aquila.tool(lambda: ran.append(1), name="go")],
    )

    async with stream:
        async for event in stream:
            if isinstance(event, aquila.ToolResult):
                break

    assert (ran, len(transport.requests), transport.open) == ([1], 1, 0)
    with pytest.raises(errors.AquilaError, match="closed by its reader") as caught:
        await stream
    assert caught.value.partial is not None
    assert [message.role for message in caught.value.partial.messages] == ["user", "assistant", "tool"]


async def test_closing_a_stream_from_elsewhere_ends_its_tools() -> None:
    ended: list[str] = []
    started = anyio.Event()

    async def slow() -> None:
        try:
            started.set()
            await anyio.sleep_forever()
        finally:
            ended.append("slow")

    stream = aquila.stream("hi", transport=scripted(Chat.calls(("c1", "slow", "{}"))), tools=[slow])

    async def read() -> None:
        with pytest.raises(errors.AquilaError, match="closed by its reader"):
            await stream

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            await started.wait()
            await stream.aclose()

    assert ended == ["slow"]


async def test_cancelled_tools_are_told_and_waited_for() -> None:
    ended: list[str] = []
    started = anyio.Event()

    async def tidy() -> None:
        try:
            started.set()
            await anyio.sleep_forever()
        finally:
            ended.append("tidy")

    transport = scripted(Chat.calls(("c1", "tidy", "{}"), ("c2", "tidy", "{}")))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_awaited, aquila.stream("hi", transport=transport, tools=[tidy]))
        await started.wait()
        await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()

    assert (ended, transport.open) == (["tidy", "tidy"], 0)


async def test_two_hundred_runs_left_at_any_place_leave_no_connection() -> None:
    places = list(PLACES.values())
    transport = OpenAITransport()

    async def leave(number: int) -> None:
        place, api, reached = places[number % len(places)], BOTH[number % 2], Reached()
        options = {
            "transport": transport,
            "base_url": server.url,
            "endpoint": api.endpoint,
            "metadata": {"number": number},
            "store": True,
            **place.options(reached),
        }
        waiting[str(number)] = (place, api, reached)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_awaited, aquila.stream("hi", **options))
            await reached.event.wait()
            tasks.cancel_scope.cancel()

    waiting: dict[str, tuple[Place, Api, Reached]] = {}
    seen: dict[str, int] = {}

    async def handler(connection: Connection) -> None:
        number = str(connection.payload["metadata"]["number"])
        seen[number] = seen.get(number, 0) + 1
        place, api, reached = waiting[number]
        await place.serve(api, connection, reached, seen[number])

    async with wire.serve(handler) as server:
        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                for number in range(200):
                    tasks.start_soon(leave, number)
            kept = sum(place.kept for place, _, _ in waiting.values())
            while server.open > kept:  # noqa: ASYNC110 - the server has no event for it
                await anyio.sleep(0.005)
        await transport.aclose()
        await all_closed(server)
