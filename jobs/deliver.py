"""From a message to an attempt: find the actor, claim the row, run, and drop the message."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import dramatiq

from jobs import claims
from jobs.attempt import Attempt
from jobs.desk import Desk
from jobs.errors import BrokerUnavailable, StorageError
from jobs.middleware import Hooks
from jobs.registry import ActorSpec, actors
from jobs.settlement import STORE_AGAIN
from jobs.threads import on_redis, redis_threads
from jobs.together import Together
from jobs.wire import Wire

logger = logging.getLogger("jobs")

#: Messages dropped in one go.
MOST_ACKS = 200
#: Seconds until a job whose actor is unknown here is offered again, perhaps to a worker that knows it.
OFFER_AGAIN = 1.0


class Delivery:
    """What a worker process does with its messages."""

    def __init__(self, desk: Desk, wire: Wire) -> None:
        self._desk = desk
        self._wire = wire
        self._acks = Together(wire.ack, most=MOST_ACKS, limiter=redis_threads)
        self._stopping = False
        self._strangers: set[str] = set()

    def stop(self) -> None:
        """Begin no attempt any more; messages that were taken already go back."""
        self._stopping = True

    async def deliver(self, message: dramatiq.Message[Any]) -> None:
        """See one message to its end. A message whose job is not there to be claimed is dropped."""
        job_id, epoch = message.args
        spec = actors().get(message.actor_name)
        # The database may be away; the message stays ours until it is back or this process stops.
        again = False
        while not self._stopping:
            since = time.monotonic()
            try:
                if spec is None:
                    await self._decline(message, job_id, epoch)
                else:
                    await self._attempt(message, spec, since, again=again)
                await self._settle(self._acks.do, message)
            except StorageError as error:
                # It may have been committed all the same: only the answer is lost.
                again = True
                self._desk.health.failed()
                logger.warning("job %s waits to be claimed: %s", job_id, error)
                await anyio.sleep(STORE_AGAIN)
            else:
                return
        await self._settle(self._give_back, message)

    async def _attempt(
        self, message: dramatiq.Message[Any], spec: ActorSpec, since: float, *, again: bool
    ) -> None:
        desk = self._desk
        job_id, epoch = message.args
        claim = await desk.writes.write(
            claims.claim, job_id, epoch, desk.worker_id, desk.keeper.lease, again=again
        )
        if claim is not None:
            await Attempt(desk, spec, claim, Hooks(self._wire, message), since=since).run()

    async def _decline(self, message: dramatiq.Message[Any], job_id: str, epoch: int) -> None:
        if message.actor_name not in self._strangers:
            self._strangers.add(message.actor_name)
            self._desk.announce(
                f"no actor {message.actor_name!r} here, its jobs wait: name its module, `aquila worker MODULE`"
            )
        why = f"no worker here knows actor {message.actor_name!r}; run `aquila worker MODULE`"
        await self._desk.writes.write(claims.postpone, job_id, epoch, OFFER_AGAIN, why)

    async def _give_back(self, message: dramatiq.Message[Any]) -> None:
        await on_redis(self._wire.give_back, message)

    async def _settle(
        self, how: Callable[[dramatiq.Message[Any]], Awaitable[None]], message: dramatiq.Message[Any]
    ) -> None:
        try:
            await how(message)
        except BrokerUnavailable as error:
            # It comes back when this process is gone, and then finds nothing to claim.
            logger.warning("message %s stays on the wire: %s", message.options["redis_message_id"], error)
