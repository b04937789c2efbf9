"""Takes a queue's messages, never more than there are free slots."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import dramatiq
from anyio import to_thread

from jobs.errors import BrokerUnavailable
from jobs.wire import Wire

logger = logging.getLogger("jobs")

#: Seconds between two looks at an empty queue, if nothing wakes the worker before.
POLL = 1.0


class Fetcher:
    """One queue of one worker process, with a limit on the jobs at once."""

    def __init__(
        self,
        wire: Wire,
        queue_name: str,
        limit: int,
        deliver: Callable[[dramatiq.Message[Any]], Awaitable[None]],
    ) -> None:
        """Prepare the fetcher.

        Args:
            wire: Where the messages come from.
            queue_name: The queue.
            limit: Jobs at once.
            deliver: Sees one message to its end; called in a task of its own.
        """
        self._wire = wire
        self._queue_name = queue_name
        self._free = limit
        self._deliver = deliver
        self._woken = anyio.Event()
        self._stopping = False

    def wake(self) -> None:
        """Look at the queue now."""
        self._woken.set()

    def stop(self) -> None:
        """Fetch nothing more."""
        self._stopping = True
        self.wake()

    async def run(self) -> None:
        """Fetch until `stop`, then wait for the attempts that run."""
        async with anyio.create_task_group() as group:
            while not self._stopping:
                # Made before the look, so that news that comes meanwhile is not missed.
                self._woken = anyio.Event()
                messages = await self._take(self._free) if self._free else []
                for message in messages:
                    self._free -= 1
                    group.start_soon(self._see_to_its_end, message, name=f"job {message.message_id}")
                if self._free == 0 or not messages:
                    with anyio.move_on_after(POLL):
                        await self._woken.wait()

    async def _take(self, limit: int) -> list[dramatiq.Message[Any]]:
        try:
            return await to_thread.run_sync(self._wire.fetch, self._queue_name, limit)
        except BrokerUnavailable as error:
            logger.warning("queue %s waits: %s", self._queue_name, error)
            return []

    async def _see_to_its_end(self, message: dramatiq.Message[Any]) -> None:
        try:
            await self._deliver(message)
        finally:
            self._free += 1
            self.wake()
