"""`tee`: every event goes to several sinks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio

from aquila.errors import ConfigError
from aquila.events import Done, Event, Failed
from aquila.sink.base import Sink, for_run
from aquila.sink.hand_over import hand_over, log_trouble

#: Seconds that each sink has for the end of a run that does not wait any more.
_END_SECONDS = 1.0


class TeeSink:
    """Feeds several sinks, one after the other; made by `tee`."""

    #: What it raises comes from strict sinks alone, and ends the run.
    strict = True

    def __init__(self, sinks: tuple[Sink, ...]) -> None:
        self._sinks = sinks

    def for_run(self, ref: str) -> TeeSink:
        """Feed what each of the sinks has for the run named `ref`."""
        return TeeSink(tuple(for_run(sink, ref) for sink in self._sinks))

    async def emit(self, event: Event) -> None:
        """Give every sink the event; the last one of a run reaches all of them, even if the run is cancelled.

        Raises:
            Exception: What the first strict sink that failed raised, when all have had the event.
        """
        troubles: list[Exception] = []

        async def give(sink: Sink) -> None:
            try:
                await hand_over(sink, event)
            except Exception as trouble:  # noqa: BLE001 - raised below, when the others have had the event
                troubles.append(trouble)

        if isinstance(event, Done | Failed):
            await self._each(give)
        else:
            for sink in self._sinks:
                await give(sink)
        if troubles:
            raise troubles[0]

    async def aclose(self) -> None:
        """Close every sink; what one raises is logged and keeps none open."""

        async def close(sink: Sink) -> None:
            try:
                await sink.aclose()
            except Exception as trouble:  # noqa: BLE001 - closing is the sink's own trouble
                log_trouble(sink, "aclose", trouble)

        await self._each(close)

    async def _each(self, act: Callable[[Sink], Awaitable[None]]) -> None:
        rest = iter(self._sinks)
        try:
            for sink in rest:
                await act(sink)
        finally:
            # Whoever waits for a slow sink may give up; those behind it are served all the same.
            with anyio.CancelScope(shield=True):
                for sink in rest:
                    with anyio.move_on_after(_END_SECONDS):
                        await act(sink)


def tee(*sinks: Sink) -> TeeSink:
    """Make one sink of several: each event goes to all of them, in this order, and then the run goes on.

    A slow sink slows all down. One that raises harms neither the others nor the run, which is told in the log; only if it
    is strict does it end the run, when all others have had the event.

    Args:
        sinks: At least one.

    Raises:
        ConfigError: There is none, or one of them is no sink.
    """
    if not sinks:
        raise ConfigError("tee() has no sinks; give at least one: tee(console(), file('answer.txt'))")
    for sink in sinks:
        if isinstance(sink, type) or not (hasattr(sink, "emit") and hasattr(sink, "aclose")):
            raise ConfigError(
                f"tee(... {sink!r} ...) is no sink; for a function use aquila.sink.callback(function)"
            )
    return TeeSink(sinks)
