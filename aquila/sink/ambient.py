"""Sinks that every run in a context feeds, besides its own: how a job sees the streams of its actor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from aquila.events import (
    Annotation,
    Chunk,
    Event,
    Partial,
    ReasoningChunk,
    ToolCall,
    ToolCallChunk,
    ToolCallStarted,
    ToolResult,
)
from aquila.sink.base import Sink, for_run
from aquila.sink.hand_over import hand_over

_SINKS: ContextVar[tuple[Sink, ...]] = ContextVar("aquila_ambient_sinks", default=())
#: What a run says. The others tell how it fares.
_SAID = (
    Annotation,
    Chunk,
    Partial,
    ReasoningChunk,
    ToolCall,
    ToolCallChunk,
    ToolCallStarted,
    ToolResult,
)


def ambient_sinks() -> tuple[Sink, ...]:
    """Give the sinks of the present context, outermost first."""
    return _SINKS.get()


@contextmanager
def ambient(sink: Sink) -> Iterator[None]:
    """Let every run started inside the block, child tasks included, feed `sink` as well.

    The block's owner closes the sink; the runs never do.
    """
    token = _SINKS.set((*_SINKS.get(), sink))
    try:
        yield
    finally:
        _SINKS.reset(token)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what runs started inside the block say, child tasks included, from the ambient sinks.

    The sinks are still told that a run began, what it used and how it ended. Sinks of the runs' own, and an `ambient`
    block inside this one, hear everything.
    """
    token = _SINKS.set(tuple(_Quiet(sink) for sink in _SINKS.get()))
    try:
        yield
    finally:
        _SINKS.reset(token)


async def tell(event: Event) -> None:
    """Give the ambient sinks an event that is no run's.

    Args:
        event: The event; one that ends nothing, such as `Status`.
    """
    for sink in _SINKS.get():
        await hand_over(sink, event)


class _Quiet:
    """Passes on to a sink what is not said."""

    __slots__ = ("_sink", "strict")

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.strict = getattr(sink, "strict", False)

    def for_run(self, ref: str) -> Sink:
        """Give what the run of that name feeds."""
        return _Quiet(for_run(self._sink, ref))

    async def emit(self, event: Event) -> None:
        """Take one event."""
        if not isinstance(event, _SAID):
            await self._sink.emit(event)

    async def aclose(self) -> None:
        """Do nothing: the sink is its owner's to close."""
