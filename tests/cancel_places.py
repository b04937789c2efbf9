"""Places in a run at which it may be cancelled, for tests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import anyio

import aquila
from aquila.events import Chunk, Event, Retrying
from aquila.retry import Retry
from tests.fault_server import Api
from tests.wire import Connection


class Reached:
    """Tells when a run has come to the place where it is to be cancelled."""

    def __init__(self) -> None:
        self.event = anyio.Event()

    async def hang(self) -> None:
        """Come to the place and stay there."""
        self.event.set()
        await anyio.sleep_forever()


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a run is cancelled: what the server does with each request, and what the run is told."""

    serve: Callable[[Api, Connection, Reached, int], Awaitable[None]]
    options: Callable[[Reached], dict[str, Any]] = field(default=lambda _: {})
    #: The connection is not in use at that place: it may be kept for the next request.
    kept: bool = False


async def no_answer(api: Api, connection: Connection, reached: Reached, number: int) -> None:
    await reached.hang()


async def head_only(api: Api, connection: Connection, reached: Reached, number: int) -> None:
    connection.start()
    await reached.hang()


async def error_head_only(api: Api, connection: Connection, reached: Reached, number: int) -> None:
    connection.start("500 Internal Server Error")
    await reached.hang()


async def keep_alives(api: Api, connection: Connection, reached: Reached, number: int) -> None:
    connection.start()
    connection.send(b": ping\n\n")
    await reached.hang()


async def half(api: Api, connection: Connection, reached: Reached, number: int) -> None:
    connection.start()
    for piece in api.said("Hel", "lo"):
        connection.send(piece)
    await reached.hang()


async def unended(api: Api, connection: Connection, reached: Reached, number: int) -> None:
    connection.start()
    for piece in api.answer("Hello"):
        connection.send(piece)
    await anyio.sleep_forever()


async def calling(api: Api, connection: Connection, reached: Reached, number: int) -> None:
    connection.play(api.calls(("c1", "go", "{}")))


async def calling_then_half(api: Api, connection: Connection, reached: Reached, number: int) -> None:
    await (calling if number == 1 else half)(api, connection, reached, number)


async def busy(api: Api, connection: Connection, reached: Reached, number: int) -> None:
    connection.start("503 Service Unavailable")
    connection.end()


async def whole(api: Api, connection: Connection, reached: Reached, number: int) -> None:
    connection.play(api.answer("Hello"))


def with_tool(reached: Reached) -> dict[str, Any]:
    async def go() -> None:
        await reached.hang()

    return {"tools": [go]}


def with_quick_tool(reached: Reached) -> dict[str, Any]:
    return {"tools": [aquila.tool(lambda: "gone", name="go")]}


def hanging_at(kind: type[Event]) -> Callable[[Reached], dict[str, Any]]:
    def options(reached: Reached) -> dict[str, Any]:
        async def see(event: Event) -> None:
            if isinstance(event, kind):
                await reached.hang()

        return {"sink": aquila.sink.callback(see)}

    return options


def told_of_retry(reached: Reached) -> dict[str, Any]:
    def see(event: Event) -> None:
        if isinstance(event, Retrying):
            reached.event.set()

    return {"sink": aquila.sink.callback(see), "retry": Retry(min_backoff=30, max_backoff=30)}


PLACES = {
    "before the head": Place(serve=no_answer),
    "before the first byte": Place(serve=head_only),
    "in the body of an error": Place(serve=error_head_only),
    "before the first content": Place(serve=keep_alives),
    "in the middle of the answer": Place(serve=half),
    "in a sink in the middle of the answer": Place(serve=half, options=hanging_at(Chunk)),
    "in a sink behind an answer whose body does not end": Place(
        serve=unended, options=hanging_at(aquila.Done)
    ),
    "in a sink behind the answer": Place(serve=whole, options=hanging_at(aquila.Done), kept=True),
    "in a tool": Place(serve=calling, options=with_tool, kept=True),
    "in the answer behind a tool": Place(serve=calling_then_half, options=with_quick_tool),
    "in the pause before a retry": Place(serve=busy, options=told_of_retry, kept=True),
}
