"""`Stream`: one run, to iterate, to await or to hand to a sink."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Generator
from types import TracebackType
from typing import Any, Self

import anyio

from aquila.errors import AquilaError
from aquila.events import Chunk, Done, Event, Failed
from aquila.loop import Plan, Run
from aquila.response import Response
from aquila.sink.ambient import ambient_sinks
from aquila.sink.base import Sink

logger = logging.getLogger("aquila")

#: Seconds that closing a connection and telling the sinks may take when the run ends early.
_CLOSE_SECONDS = 1.0


class Stream:
    """One run of a model; nothing is sent until it is entered, iterated or awaited.

    Use it in one of three ways:

    - `async with aquila.stream(...) as s: async for event in s: ...` closes the connection whatever happens;
    - `async for event in aquila.stream(...)`, where the loop runs to its end;
    - `await aquila.stream(...)` gives the whole Response, feeding the sink on the way.

    Iterating raises what the run fails with; `Done` is the last event. One task reads a Stream at a time.
    """

    def __init__(self, plan: Callable[[], Plan], *, ref: str, sink: Sink | None = None) -> None:
        self._plan = plan
        self._own_sink = sink
        self._sinks: list[Sink] = []
        self._run: Run | None = None
        self._ready: deque[Event] = deque()
        self._response: Response | None = None
        self._error: BaseException | None = None
        self._reading = False
        #: The run's name, in events and logs.
        self.ref = ref

    @property
    def text(self) -> TextStream:
        """The answer's text alone, as an async iterator of fragments."""
        return TextStream(self)

    async def response(self) -> Response:
        """Read the run to its end and give the whole answer. May be called again.

        Raises:
            AquilaError: The run failed; `error.partial` holds what had come.
        """
        while self._response is None:
            if self._error is not None:
                raise self._error
            await self._advance()
            self._ready.clear()
        return self._response

    async def aclose(self) -> None:
        """Close the connection; a run that has not ended is given up. May be called twice."""
        if self._over or self._run is None:
            return
        await self._fail(self._run.complete(AquilaError("the run was closed by its reader before its end")))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while not self._ready:
            if self._over:
                raise StopAsyncIteration
            await self._advance()
        return self._ready.popleft()

    def __await__(self) -> Generator[Any, None, Response]:
        return self.response().__await__()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    @property
    def _over(self) -> bool:
        return self._response is not None or self._error is not None

    async def _advance(self) -> None:
        if self._reading:
            raise RuntimeError(
                "this Stream is being read by another task; give each reader a sink of its own"
            )
        self._reading = True
        try:
            run = self._run or self._begin()
            events = await run.read()
            await self._emit(run, events)
            self._ready.extend(events)
            last = events[-1]
            if isinstance(last, Done):
                await run.aclose()
                self._response = last.response
                await self._close_sink()
        except BaseException as error:
            await self._fail(error)
            raise
        finally:
            self._reading = False

    def _begin(self) -> Run:
        own = [self._own_sink] if self._own_sink is not None else []
        self._sinks = [*own, *ambient_sinks()]
        self._run = Run(self._plan())
        return self._run

    async def _emit(self, run: Run, events: list[Event]) -> None:
        for sink in self._sinks:
            for event in events:
                await run.emit(_guarded(sink, event))

    async def _fail(self, error: BaseException) -> None:
        self._error = error
        told = error if isinstance(error, AquilaError) else AquilaError(f"the run was ended by {error!r}")
        # The reader may be cancelled; closing must happen all the same, and must not take for ever.
        with anyio.CancelScope(shield=True), anyio.move_on_after(_CLOSE_SECONDS):
            if self._run is not None:
                await self._run.aclose()
            for sink in self._sinks:
                await _guarded(sink, Failed(told))
            await self._close_sink()

    async def _close_sink(self) -> None:
        if self._own_sink is not None:
            await self._own_sink.aclose()


class TextStream:
    """The text of a Stream, fragment by fragment."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        while True:
            event = await anext(self._stream)
            if isinstance(event, Chunk):
                return event.text

    async def aclose(self) -> None:
        """Close the Stream behind it."""
        await self._stream.aclose()


async def _guarded(sink: Sink, event: Event) -> None:
    """Feed a sink; one that raises is reported and does not end the run, unless it is strict."""
    try:
        await sink.emit(event)
    except Exception:
        if getattr(sink, "strict", False):
            raise
        logger.exception("sink_failed sink=%s event=%s", type(sink).__name__, event.type)
