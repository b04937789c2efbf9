"""Sinks that every run in a context feeds, besides its own: how a job sees the streams of its actor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from aquila.sink.base import Sink

_SINKS: ContextVar[tuple[Sink, ...]] = ContextVar("aquila_ambient_sinks", default=())


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
