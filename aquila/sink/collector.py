"""`collector`: a bounded queue between a run and its reader."""

from __future__ import annotations

from typing import Any, Generic, Literal, Self, TypeVar, overload

import anyio

from aquila.events import Done, Event, Failed, Started

Item = TypeVar("Item")


class Collector(Generic[Item]):
    """A sink that is also an async iterator over what it took; made by `collector`.

    The run waits while the queue is full: that is the back-pressure, so read it in another task than the one that
    awaits the run. Iterating ends behind `Done` or `Failed`. When the reader leaves (`leave`, or the end of
    `async with`), the run goes on and further events are dropped.
    """

    def __init__(self, size: int, *, with_ref: bool) -> None:
        self._send, self._receive = anyio.create_memory_object_stream[Any](size)
        self._with_ref = with_ref
        self._ref = ""
        self._last: list[Any] = []

    async def emit(self, event: Event) -> None:
        """Put one event into the queue, waiting for room."""
        if isinstance(event, Started):
            self._ref = event.ref
        item = (self._ref, event) if self._with_ref else event
        if isinstance(event, Done | Failed):
            # The end needs no room: it must reach a slow reader even if the run cannot wait for it.
            self._last = [item]
            return
        try:
            await self._send.send(item)
        except anyio.BrokenResourceError:
            # The reader has left; the run's own result does not depend on it.
            return

    async def aclose(self) -> None:
        """End the queue: the reader gets what is in it and then stops."""
        self._send.close()

    def leave(self) -> None:
        """Leave: further events are dropped."""
        self._receive.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item:
        try:
            item: Item = await self._receive.receive()
        except anyio.EndOfStream:
            if self._last:
                last: Item = self._last.pop()
                return last
            self.leave()
            raise StopAsyncIteration from None
        except anyio.ClosedResourceError:
            raise StopAsyncIteration from None
        return item

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.leave()


@overload
def collector(size: int = 64, *, with_ref: Literal[False] = False) -> Collector[Event]: ...
@overload
def collector(size: int = 64, *, with_ref: Literal[True]) -> Collector[tuple[str, Event]]: ...
def collector(size: int = 64, *, with_ref: bool = False) -> Collector[Any]:
    """Make a queue between a run and its reader.

    Args:
        size: Events the queue holds before the run waits.
        with_ref: True: the reader gets pairs of the run's name and the event, to tell several runs apart.
    """
    return Collector(size, with_ref=with_ref)
