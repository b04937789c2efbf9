"""`SyncStream`: one run, for a thread."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import anyio

from aquila.errors import AquilaError
from aquila.events import Chunk, Event
from aquila.response import Response
from aquila.streams import Stream
from aquila.sync.errand import Errand
from aquila.sync.handover import Handover
from aquila.sync.portal import refuse_in_loop

T = TypeVar("T")


class SyncStream(Generic[T]):
    """One run of a model; nothing is sent until it is iterated or its response is asked for.

    `with aquila.sync.stream(...) as s: for event in s: ...` closes the connection whatever happens. Without `with`, let
    the loop run to its end: a SyncStream dropped before it is closed too, with a ResourceWarning.

    Iterating raises what the run fails with; `Done` is the last event. One thread reads a SyncStream at a time; the run
    goes at most a few hundred events ahead of it. Sinks and tools run in the event loop's thread, not in this one.
    """

    def __init__(self, stream: Stream[T]) -> None:
        self._stream = stream
        self._errand: Errand[Response[T]] | None = None
        self._handover = Handover()
        self._ready: deque[Event] = deque()
        self._ended = False
        #: The run's name, in events and logs.
        self.ref = stream.ref

    @property
    def text(self) -> Iterator[str]:
        """The answer's text alone, fragment by fragment."""
        return (event.text for event in self if isinstance(event, Chunk))

    def response(self) -> Response[T]:
        """Read the run to its end and give the whole answer. May be called again.

        Raises:
            AquilaError: The run failed or was closed; `error.partial` holds what had come.
            ConfigError: An event loop runs in this thread.
        """
        refuse_in_loop("stream", "await aquila.stream(...)")
        errand = self._errand
        if errand is None:
            # Nobody looks at the events, so none are handed over.
            self._ended = True
            errand = self._begin(partial(_finish, self._stream))
        while not self._ended:
            self._advance()
            self._ready.clear()
        return errand.wait()

    def close(self) -> None:
        """Close the connection; a run that has not ended is given up. May be called twice."""
        if self._errand is not None:
            self._ended = True
            self._ready.clear()
            self._errand.stop()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        while not self._ready:
            if self._ended:
                raise StopIteration
            self._advance()
        return self._ready.popleft()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        errand = getattr(self, "_errand", None)
        if errand is not None and not errand.over:
            errand.stop_soon()
            warnings.warn(
                f"the sync stream {self.ref} was dropped before its end; use it in a `with` block",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )

    def _advance(self) -> None:
        """Wait for further events; behind the last of them, raise what the run failed with."""
        errand = self._errand
        if errand is None:
            refuse_in_loop("stream", "async with aquila.stream(...)")
            errand = self._begin(partial(_pump, self._stream, self._handover))
        errand.check_process()
        try:
            events = self._handover.take(errand.post)
        except BaseException:
            self.close()
            raise
        self._ready.extend(events)
        if not events:
            self._ended = True
            errand.wait()

    def _begin(self, work: Callable[[], Awaitable[Response[T]]]) -> Errand[Response[T]]:
        errand = self._errand = Errand(work, stopped=partial(_closed, self._stream))
        errand.begin()
        return errand


# What runs in the event loop holds the Stream, never the SyncStream: one that is dropped must be noticed.


async def _finish(stream: Stream[T]) -> Response[T]:
    async with stream:
        return await stream.response()


async def _pump(stream: Stream[T], handover: Handover) -> Response[T]:
    try:
        async with stream:
            while events := await stream.read_events():
                await handover.put(events)
            return await stream.response()
    finally:
        handover.end()


async def _closed(stream: Stream[Any]) -> AquilaError:
    error = AquilaError("the run was closed by its reader before its end")
    with anyio.CancelScope() as scope:
        # The Stream only says again what it ended with; nothing can be sent from here.
        scope.cancel()
        try:
            await stream.response()
        except AquilaError as told:
            error.partial, error.request_id, error.attempts = told.partial, told.request_id, told.attempts
    return error
