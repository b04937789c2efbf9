"""The seam events leave by."""

from __future__ import annotations

from typing import Protocol

from aquila.events import Event


class Sink(Protocol):
    """Takes every event of a run in order; the last one is `Done` or `Failed`.

    A sink may have two more members. `strict`, an attribute: True lets what the sink raises end the run; without it,
    trouble is logged and the run goes on. `for_run(ref)`, a method: gives the sink that the run of that name feeds, for
    sinks that keep something for each run and may be shared by several at a time.
    """

    async def emit(self, event: Event) -> None:
        """Take one event. Awaiting here slows the run down: that is the back-pressure."""

    async def aclose(self) -> None:
        """The run is over; free what the sink holds."""


def for_run(sink: Sink, ref: str) -> Sink:
    """Give what the run named `ref` feeds: the sink itself, unless it keeps something for each run."""
    own = getattr(sink, "for_run", None)
    return sink if own is None else own(ref)
