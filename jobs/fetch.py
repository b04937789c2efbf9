"""Takes a queue's messages, never more than there are free slots: its own, and those of the fleet."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import dramatiq
from anyio.abc import TaskGroup

from jobs.errors import BrokerUnavailable, StorageError
from jobs.slots import Slot, Slots
from jobs.threads import on_redis
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
        slots: Slots | None = None,
    ) -> None:
        """Prepare the fetcher.

        Args:
            wire: Where the messages come from.
            queue_name: The queue.
            limit: Jobs at once.
            deliver: Sees one message to its end; called in a task of its own.
            slots: The fleet's, of which each job needs one; None sets no limit but this process's own.
        """
        self._wire = wire
        self._queue_name = queue_name
        self._free = limit
        self._deliver = deliver
        self._slots = slots
        self._woken = anyio.Event()
        self._stopped = anyio.Event()
        self._paused = False

    def wake(self) -> None:
        """Look at the queue now."""
        self._woken.set()

    def pause(self, paused: bool) -> bool:  # noqa: FBT001 - there is nothing else to be said
        """Begin no job while paused; say whether that is news. What runs goes on."""
        changed, self._paused = paused != self._paused, paused
        if changed:
            self.wake()
        return changed

    def stop(self) -> None:
        """Fetch nothing more."""
        self._stopped.set()
        self.wake()

    async def run(self) -> None:
        """Fetch until `stop`, then wait for the attempts that run."""
        async with anyio.create_task_group() as services:
            if self._slots is not None:
                services.start_soon(self._slots.keep)
            async with anyio.create_task_group() as attempts:
                while not self._stopped.is_set():
                    # Made before the look, so that news that comes meanwhile is not missed.
                    self._woken = anyio.Event()
                    if not await self._look(attempts) or not self._free:
                        with anyio.move_on_after(POLL):
                            await self._woken.wait()
            services.cancel_scope.cancel()

    async def _look(self, attempts: TaskGroup) -> bool:
        """Begin what can be begun; say whether there may be more."""
        try:
            begun = await self._begin(attempts) if self._free and not self._paused else 0
        except (BrokerUnavailable, StorageError) as error:
            logger.warning("queue %s waits: %s", self._queue_name, error)
        except Exception:
            logger.exception("queue %s waits", self._queue_name)
        else:
            return begun > 0
        # Not until it is woken: others may wake it all the time.
        with anyio.move_on_after(POLL):
            await self._stopped.wait()
        return False

    async def _begin(self, attempts: TaskGroup) -> int:
        slots = await self._slots.take(self._free) if self._slots is not None else []
        limit = len(slots) if self._slots is not None else self._free
        messages: list[dramatiq.Message[Any]] = []
        try:
            if limit:
                messages = await on_redis(self._wire.fetch, self._queue_name, limit)
            if self._paused:
                messages = await self._put_back(messages)
            for number, message in enumerate(messages):
                slot = slots[number] if slots else None
                if slot is not None:
                    slot.job = message.options["redis_message_id"]
                self._free -= 1
                attempts.start_soon(self._see_to_its_end, message, slot, name=f"job {message.message_id}")
        finally:
            # Others were refused these while a message may have come. This process looks again, unless it stops.
            await self._give_back(slots[len(messages) :], wake=self._stopped.is_set())
        return len(messages)

    async def _put_back(self, messages: list[dramatiq.Message[Any]]) -> list[dramatiq.Message[Any]]:
        for message in messages:
            try:
                await on_redis(self._wire.give_back, message)
            except BrokerUnavailable as error:
                logger.warning("a message of queue %s goes back later: %s", self._queue_name, error)
        return []

    async def _see_to_its_end(self, message: dramatiq.Message[Any], slot: Slot | None) -> None:
        try:
            await self._deliver(message)
        except Exception:
            # One bad message must not end every worker it comes to; it stays with this one.
            logger.exception("message %s of queue %s is left", message.message_id, self._queue_name)
        finally:
            try:
                await self._give_back([slot] if slot is not None else [], wake=True)
            finally:
                self._free += 1
                self.wake()

    async def _give_back(self, slots: list[Slot], *, wake: bool) -> None:
        if slots and self._slots is not None:
            with anyio.CancelScope(shield=True):
                await self._slots.give_back(slots, wake=wake)
