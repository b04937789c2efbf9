"""`Stream`: one run, to iterate, to await or to hand to a sink."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self

import anyio

from aquila.errors import AquilaError
from aquila.events import Chunk, Done, Event
from aquila.feed import Feed
from aquila.loop import Run
from aquila.plan import Plan
from aquila.response import Response
from aquila.sink.ambient import ambient_sinks
from aquila.sink.base import Sink, for_run

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    T = TypeVar("T", default=Any)
else:
    from typing import TypeVar

    T = TypeVar("T")

#: Seconds that closing the connection may take when the run ends early.
_CLOSE_SECONDS = 1.0


class Stream(Generic[T]):
    """One run of a model; nothing is sent until it is entered, iterated or awaited.

    Use it in one of three ways:

    - `async with aquila.stream(...) as s: async for event in s: ...` closes the connection whatever happens;
    - `async for event in aquila.stream(...)`, where the loop runs to its end;
    - `await aquila.stream(...)` gives the whole Response, feeding the sink on the way.

    Iterating raises what the run fails with; `Done` is the last event. One task reads a Stream at a time; `aclose` from
    another one ends its reading with an error.
    """

    def __init__(self, plan: Plan, *, sink: Sink | None = None) -> None:
        self._plan = plan
        self._own_sink = sink
        self._feeds: list[Feed] = []
        self._run: Run | None = None
        self._ready: deque[Event] = deque()
        self._response: Response[T] | None = None
        self._error: Exception | None = None
        #: False while the run has ended with an error that its reader has not been told.
        self._told = True
        self._reader: asyncio.Task[Any] | None = None
        #: The run's name, in events and logs.
        self.ref = plan.ref

    def __repr__(self) -> str:
        state = "over" if self._over else "running" if self._run is not None else "not begun"
        return f"<Stream ref={self.ref} {state}>"

    @property
    def text(self) -> TextStream:
        """The answer's text alone, as an async iterator of fragments."""
        return TextStream(self)

    @property
    def tool_context(self) -> Any:
        """The tools' context with the patches so far; None before the run begins, and without tools."""
        return self._run.tool_context if self._run is not None else None

    async def response(self) -> Response[T]:
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
        if self._over:
            return
        if self._run is None:
            self._error = AquilaError("the stream was closed before it began")
            return
        closed = self._run.complete(AquilaError("the run was closed by its reader before its end"))
        if self._reader not in {None, asyncio.current_task()}:
            self._run.interrupt(closed)
        await self._fail(closed)

    async def read_events(self) -> list[Event]:
        """Give the events that have come with the last read, which are one or many; none at the end.

        For readers that hand events on in batches; `async for` gives them one by one.

        Raises:
            AquilaError: The run failed; `error.partial` holds what had come.
        """
        try:
            first = await anext(self)
        except StopAsyncIteration:
            return []
        events = [first, *self._ready]
        self._ready.clear()
        return events

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        ready = self._ready
        while not ready:
            if not self._told and self._error is not None:
                self._told = True
                raise self._error
            if self._response is not None or self._error is not None:
                raise StopAsyncIteration
            await self._advance()
        return ready.popleft()

    def __await__(self) -> Generator[Any, None, Response[T]]:
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
        if self._reader is not None:
            raise RuntimeError(
                "this Stream is being read by another task; give each reader a sink of its own"
            )
        self._reader = asyncio.current_task()
        try:
            run = self._run or self._begin()
            events = await run.read()
            if self._feeds or type(events[-1]) is Done or self._error is not None:
                await self._hand_on(run, events)
            self._ready.extend(events)
        except Exception as error:
            if self._error is None:
                await self._fail(error)
            # Closed meanwhile: what the reader stumbled over is the closing.
            elif error is not self._error:
                raise self._error from None
            raise
        except BaseException as error:
            # The reader was cancelled. Whoever reads on must not take that for the end of a whole answer.
            if self._error is None:
                await self._fail(AquilaError(f"the run was given up: its reader was ended by {error!r}"))
                self._told = False
            raise
        finally:
            self._reader = None

    async def _hand_on(self, run: Run, events: list[Event]) -> None:
        """Feed the sinks, and make an end behind the last event."""
        last = events[-1]
        if isinstance(last, Done):
            # Closing may fail (a recording that cannot be written), and then nobody may have been told Done.
            await run.aclose()
        for feed in self._feeds:
            for event in events:
                await run.emit(feed.emit(event))
        if self._error is not None:
            raise self._error
        if isinstance(last, Done):
            self._response = last.response
            await self._close_feeds()

    def _begin(self) -> Run:
        own = [Feed(for_run(self._own_sink, self.ref), own=True)] if self._own_sink is not None else []
        self._feeds = [*own, *(Feed(for_run(sink, self.ref)) for sink in ambient_sinks())]
        self._run = Run(self._plan)
        return self._run

    async def _fail(self, error: Exception) -> None:
        self._error = error
        said = error if isinstance(error, AquilaError) else AquilaError(f"the run was ended by {error!r}")
        if self._run is not None and said.partial is None:
            self._run.complete(said)
        # The reader may be cancelled; closing must happen all the same, and must not take for ever.
        with anyio.CancelScope(shield=True):
            with anyio.move_on_after(_CLOSE_SECONDS):
                if self._run is not None:
                    await self._run.abandon()
            await self._close_feeds(said)

    async def _close_feeds(self, error: AquilaError | None = None) -> None:
        for feed in self._feeds:
            await feed.close(error)


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
