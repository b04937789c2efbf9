"""The seam events leave by."""

from __future__ import annotations

from typing import Protocol

from aquila.events import Event


class Sink(Protocol):
    """Takes every event of a run in order; the last one is `Done` or `Failed`."""

    async def emit(self, event: Event) -> None:
        """Take one event. Awaiting here slows the run down: that is the back-pressure."""

    async def aclose(self) -> None:
        """The run is over; free what the sink holds."""
