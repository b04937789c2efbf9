"""`collect`: wait for a run's Response, but not for ever between two of its events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Protocol

import anyio

from aquila.errors import IdleTimeout, StreamTruncated
from aquila.events import Done, Event, Failed
from aquila.folding import fold
from aquila.response import Response


class EventSource(Protocol):
    """What `collect` reads: a `Stream`, a `collector()` sink, or any async iterable of events."""

    def __aiter__(self) -> AsyncIterator[Event]:
        """Give the events in order."""


async def collect(source: EventSource, *, timeout: float | None = 30.0) -> Response:  # noqa: ASYNC109 - not the whole
    """Read a run to its end and give its Response.

    Args:
        source: The run's events; a Stream or a collector is closed at the end, whatever happens.
        timeout: Seconds to wait for each event; None waits for ever.

    Raises:
        IdleTimeout: No event came in time; `partial` holds what had come.
        StreamTruncated: The events ended without a last one.
        AquilaError: The run failed.
    """
    seen: list[Event] = []
    async with AsyncExitStack() as stack:
        if isinstance(source, AbstractAsyncContextManager):
            await stack.enter_async_context(source)
        events = aiter(source)
        while True:
            event = await _next(events, timeout, seen)
            match event:
                case None:
                    raise StreamTruncated("the events ended without Done or Failed", partial=fold(seen))
                case Done(response=response):
                    return response
                case Failed(error=error):
                    raise error
            seen.append(event)


async def _next(events: AsyncIterator[Event], seconds: float | None, seen: list[Event]) -> Event | None:
    with anyio.move_on_after(seconds):
        return await anext(events, None)
    raise IdleTimeout(
        f"no event for {seconds:g} s; the source is silent, give collect a longer timeout",
        seconds=seconds or 0.0,
        partial=fold(seen),
    )
