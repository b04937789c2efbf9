"""One reader's way through a live stream: replay from Redis, then the hub's tail, in one order without gap or repeat."""

from __future__ import annotations

import time

import anyio

from jobs.cursor import Position
from jobs.hub import BATCH, PAUSE, Hub
from jobs.snapshot import cut
from jobs.tail import Record, TailReader


class Subscription(TailReader):
    """One reader of one stream: first what it missed, then what comes, each record once and in order."""

    def __init__(self, hub: Hub, key: str, position: Position) -> None:
        """Begin behind `position`; whoever makes it closes it.

        Args:
            hub: Reads for it.
            key: The stream.
            position: The last record that it has.
        """
        super().__init__(key.encode(), position)
        self._hub = hub
        self._joined = False
        hub.enter(self)

    @property
    def away(self) -> bool:
        """Whether Redis did not answer when it was asked last."""
        return self._hub.away

    async def read(self, seconds: float) -> list[Record]:
        """Give the next records; none if nothing came within `seconds`, or if Redis is away."""
        deadline = time.monotonic() + seconds
        while True:
            held = self._hub.held(self.key, self.position) if self._joined else None
            if held is None:
                held = await self._replay(joins=True)
            if held:
                return self._advance(held)
            left = deadline - time.monotonic()
            if left <= 0:
                return []
            if held is None:
                await anyio.sleep(min(left, PAUSE))
            else:
                await self._hub.wait(self, left)

    async def read_now(self) -> list[Record]:
        """Give what Redis has by now, without waiting for more."""
        return self._advance(await self._replay(joins=False) or [])

    async def is_unfinished(self, fence: str) -> bool:
        """Say whether an attempt writes the stream and has not ended it; False if Redis does not know."""
        return await self._hub.unfinished(fence)

    async def aclose(self) -> None:
        """Leave. May be called twice."""
        await self._hub.leave(self)

    async def _replay(self, *, joins: bool) -> list[Record] | None:
        position, floor = self.position, self._hub.floor(self.key)
        records = await self._hub.replay(self.key, position)
        if records is None:
            return None
        if not records and floor is not None:
            # What others have read is gone from Redis, and with it what lay between.
            self.position = max(position, floor)
        if joins and len(records) < BATCH:
            await self._hub.join(self, records[-1].position if records else self.position)
            self._joined = True
        return records

    def _advance(self, records: list[Record]) -> list[Record]:
        if not records:
            return []
        position, self.position = self.position, records[-1].position
        return [cut(record, position) for record in records]
