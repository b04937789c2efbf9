"""Give an event to a sink inside another one: trouble is logged, or raised if the sink is strict."""

from __future__ import annotations

import logging

from aquila.events import Event
from aquila.sink.base import Sink

logger = logging.getLogger("aquila")


async def hand_over(sink: Sink, event: Event) -> None:
    """Give a sink one event.

    Raises:
        Exception: What the sink raised, if it has a true `strict`; otherwise it is logged.
    """
    try:
        await sink.emit(event)
    except Exception as trouble:
        if getattr(sink, "strict", False):
            raise
        log_trouble(sink, event.type, trouble)


def log_trouble(owner: object, what: str, trouble: Exception) -> None:
    """Log what went wrong in a sink over an event, or over its closing, and was not raised."""
    logger.error("sink_failed sink=%s event=%s", type(owner).__name__, what, exc_info=trouble)
