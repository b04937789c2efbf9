"""One run's way into one sink: in order, with exactly one last event, and without harm to the run."""

from __future__ import annotations

import anyio

from aquila.errors import AquilaError
from aquila.events import Done, Event, Failed
from aquila.sink.base import Sink
from aquila.sink.hand_over import hand_over, log_trouble

#: Seconds that a sink may take over the end of a failed run, and over its own closing.
_END_SECONDS = 1.0


class Feed:
    """Feeds a sink.

    Args:
        sink: The sink.
        own: The sink belongs to this run and is closed with it.
    """

    __slots__ = ("_ended", "_own", "_sink")

    def __init__(self, sink: Sink, *, own: bool = False) -> None:
        self._sink = sink
        self._own = own
        self._ended = False

    async def emit(self, event: Event) -> None:
        """Give the sink one event; what it raises is logged, or raised if it is strict."""
        if self._ended:
            return
        # Handed over is told: a sink that fails over its last event gets no second one.
        self._ended = isinstance(event, Done | Failed)
        await hand_over(self._sink, event)

    async def close(self, error: AquilaError | None) -> None:
        """End the feed: tell a failure that was not told yet, and close an own sink. Never raises."""
        if error is not None and not self._ended:
            self._ended = True
            try:
                with anyio.move_on_after(_END_SECONDS):
                    await self._sink.emit(Failed(error))
            except Exception as trouble:  # noqa: BLE001 - the run has failed for a reason of its own, which is raised
                log_trouble(self._sink, "failed", trouble)
        if self._own:
            self._own = False
            try:
                with anyio.move_on_after(_END_SECONDS):
                    await self._sink.aclose()
            except Exception as trouble:  # noqa: BLE001 - the answer is there; closing is the sink's own trouble
                log_trouble(self._sink, "aclose", trouble)
