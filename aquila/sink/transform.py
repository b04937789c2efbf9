"""`transform`: a function changes or drops events on their way into another sink."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from aquila.errors import ConfigError
from aquila.event_base import EventBase
from aquila.events import Done, Event, Failed
from aquila.sink.base import Sink, for_run
from aquila.sink.hand_over import hand_over, log_trouble

Transformation: TypeAlias = Callable[[Event], Awaitable[Event | None] | Event | None]


class TransformSink:
    """Feeds another sink what a function makes of each event; made by `transform`."""

    #: What it raises comes from a strict function or a strict sink alone, and ends the run.
    strict = True

    def __init__(self, function: Transformation, sink: Sink, *, strict_function: bool) -> None:
        self._function = function
        self._sink = sink
        self._strict_function = strict_function

    def for_run(self, ref: str) -> TransformSink:
        """Feed what the sink has for the run named `ref`."""
        return TransformSink(self._function, for_run(self._sink, ref), strict_function=self._strict_function)

    async def emit(self, event: Event) -> None:
        """Give the sink what the function makes of the event.

        Raises:
            Exception: The strict function's, or the strict sink's.
        """
        ends = isinstance(event, Done | Failed)
        # The sink waits for its last event: it gets one whatever the function does.
        changed = event if ends else None
        try:
            changed = await self._transformed(event) or changed
        except Exception as trouble:
            if self._strict_function:
                if ends:
                    await hand_over(self._sink, event)
                raise
            log_trouble(self, event.type, trouble)
        if changed is not None:
            await hand_over(self._sink, changed)

    async def aclose(self) -> None:
        """Close the sink behind it."""
        await self._sink.aclose()

    async def _transformed(self, event: Event) -> Event | None:
        result = self._function(event)
        changed = await result if inspect.isawaitable(result) else result
        if changed is None:
            return None
        if not isinstance(changed, EventBase):
            raise ConfigError(
                f"transform's function gave {changed!r} for a {event.type} event; give an event or None"
            )
        if isinstance(changed, Done | Failed) != isinstance(event, Done | Failed):
            raise ConfigError(
                f"transform's function made a {changed.type} event of a {event.type} event; a run has one end, and it "
                "is its last event"
            )
        return changed


def transform(function: Transformation, sink: Sink, *, strict: bool = False) -> TransformSink:
    """Make a sink that changes events, or drops them, before another sink gets them.

    Args:
        function: Called with each event; gives the event to pass on, or None to drop it. It may be a coroutine function.
            The last event, `Done` or `Failed`, cannot be dropped: on None it is passed on as it is.
        sink: What gets the events; it is closed with the run.
        strict: False: an exception of the function is logged, and its event is dropped. True: it ends the run.
    """
    return TransformSink(function, sink, strict_function=strict)
