"""The worker's regular rounds: repair the rows, hand them over, keep the wire in order."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable

import anyio

from jobs import relay, sweep
from jobs.errors import BrokerUnavailable, StorageError
from jobs.lease import Health
from jobs.live import end_stream
from jobs.metrics import Metrics
from jobs.runtime import Runtime
from jobs.threads import on_redis

logger = logging.getLogger("jobs")

#: Seconds between two rounds, unless the lease is so short that it needs more.
ROUND = 0.5


class Upkeep:
    """Runs in every worker; each step is safe to be done by several at once."""

    def __init__(
        self,
        runtime: Runtime,
        health: Health,
        queues: Iterable[str],
        announce: Callable[[str], None],
        metrics: Metrics | None = None,
    ) -> None:
        self._runtime = runtime
        self._health = health
        self._queues = tuple(queues)
        self._announce = announce
        self._metrics = metrics if metrics is not None else Metrics()
        self._lease = runtime.settings.lease

    async def sweep(self) -> None:
        """Repair rows and hand them over, twice a second, until cancelled."""
        await self._repeat(min(ROUND, self._lease / 3), self._sweep)

    async def maintain(self) -> None:
        """Keep the wire in order, three times within a lease, until cancelled."""
        await self._repeat(self._lease / 3, self._maintain)

    async def _repeat(self, seconds: float, step: Callable[[], None]) -> None:
        while True:
            try:
                await on_redis(step)
            except StorageError as error:
                self._health.failed()
                logger.warning("%s", error)
            except BrokerUnavailable as error:
                logger.warning("%s", error)
                await self._revive()
            await anyio.sleep(seconds)

    async def _revive(self) -> None:
        try:
            await on_redis(self._runtime.revive)
        except BrokerUnavailable as error:
            logger.warning("%s", error)

    def _sweep(self) -> None:
        database, wire = self._runtime.database(), self._runtime.wire()
        began = time.monotonic()

        def fresh() -> bool:
            # While the database hung, no worker could renew.
            if time.monotonic() - began < self._lease / 3:
                return True
            self._health.failed()
            return False

        sweep.promote(database)
        if self._health.settled():
            for job in sweep.rescue(database, fresh=fresh):
                self._metrics.rescued(job)
                notice = sweep.death_notice(job)
                self._announce(f"{job.job_id[:8]} {job.actor_name}: {notice}")
                if sweep.is_spent(job):
                    said = {"error": sweep.WORKER_DIED, "message": notice}
                    end_stream(wire, job, "failed", ttl=self._runtime.settings.live_ttl, **said)
        if wire.was_emptied():
            relay.forget_wire(database)
        relay.relay(database, wire)

    def _maintain(self) -> None:
        wire = self._runtime.wire()
        wire.maintain(self._queues)
        wire.reclaim(self._queues)
        relay.verify(self._runtime.database(), wire, older_than=self._lease)
