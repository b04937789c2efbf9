"""A live stream that nobody reads: the attempt's text is kept for its row, and goes nowhere else."""

from __future__ import annotations

from typing import Any

import anyio

from jobs.channel import Channel, LiveWriter
from jobs.claims import Claim
from jobs.live import Terminal


class Silence(LiveWriter):
    """Has what a `LiveWriter` has, and sends nothing."""

    def __init__(self) -> None:
        """Prepare it; there is nothing to open."""

    def open(self, held: Claim) -> Channel:
        """Start an attempt's part."""
        return Channel(held, lambda channel, _: channel.pending.clear())

    async def run(self) -> None:
        """Do nothing until cancelled."""
        await anyio.sleep_forever()

    async def flush(self) -> bool:
        """Do nothing."""
        return True

    async def end(self, channel: Channel, terminal: Terminal, data: dict[str, Any]) -> None:
        """Do nothing: readers learn the end from the row."""
