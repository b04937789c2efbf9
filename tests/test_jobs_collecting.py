from __future__ import annotations

from typing import Self

import anyio
import pytest
from wire import Connection, answer, delta, serve

import aquila
import jobs
from aquila.errors import ConnectionFailed, IdleTimeout, StreamTruncated
from aquila.events import Chunk, Done, Event, Failed
from aquila.response import Response


class Events:
    """Events from a list, then silence or the end."""

    def __init__(self, *events: Event, silent: bool = False) -> None:
        self._events = list(events)
        self._silent = silent

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        if self._events:
            return self._events.pop(0)
        if self._silent:
            await anyio.sleep_forever()
        raise StopAsyncIteration


async def test_the_response_of_the_last_event_is_given() -> None:
    response = Response(text="ab")

    assert await jobs.collect(Events(Chunk("a"), Chunk("b"), Done(response))) is response


async def test_a_failed_run_raises_its_error() -> None:
    error = ConnectionFailed("gone")

    with pytest.raises(ConnectionFailed) as failed:
        await jobs.collect(Events(Chunk("a"), Failed(error)))

    assert failed.value is error


async def test_silence_is_an_error_with_what_had_come() -> None:
    with pytest.raises(IdleTimeout, match=r"no event for 0\.05 s") as silent:
        await jobs.collect(Events(Chunk("so "), Chunk("far"), silent=True), timeout=0.05)

    assert silent.value.partial is not None
    assert silent.value.partial.text == "so far"
    assert silent.value.seconds == 0.05


async def test_events_that_stop_without_an_end_are_an_error() -> None:
    with pytest.raises(StreamTruncated) as cut:
        await jobs.collect(Events(Chunk("so far")))

    assert cut.value.partial is not None
    assert cut.value.partial.text == "so far"


async def test_a_stream_is_collected_and_closed() -> None:
    async def handler(connection: Connection) -> None:
        connection.play(answer("Hello ", "you"))

    async with serve(handler) as server:
        response = await jobs.collect(aquila.stream("Hi", model="m", base_url=server.url))

    assert response.text == "Hello you"


async def test_a_silent_stream_is_closed() -> None:
    closed = anyio.Event()

    async def handler(connection: Connection) -> None:
        connection.start()
        connection.send(delta("Hel"))
        await connection.closed.wait()
        closed.set()

    async with serve(handler) as server:
        with pytest.raises(IdleTimeout):
            await jobs.collect(aquila.stream("Hi", model="m", base_url=server.url), timeout=0.3)
        with anyio.fail_after(5):
            await closed.wait()


async def test_a_collector_sink_is_collected_while_the_run_goes_on() -> None:
    async def handler(connection: Connection) -> None:
        connection.play(answer("Hello ", "you"))

    sink = aquila.sink.collector()
    async with serve(handler) as server, anyio.create_task_group() as group:
        group.start_soon(aquila.stream("Hi", model="m", base_url=server.url, sink=sink).response)

        assert (await jobs.collect(sink)).text == "Hello you"
