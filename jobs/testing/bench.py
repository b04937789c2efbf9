"""One attempt of one job, made right here: claimed, run and stored as by a worker."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import dramatiq
from sqlalchemy import Connection, update

from aquila.errors import ConfigError
from jobs import claims
from jobs.attempt import Attempt
from jobs.claims import Claim
from jobs.desk import Desk
from jobs.group_commit import GroupCommit
from jobs.lease import Health, LeaseKeeper
from jobs.metering import Metering
from jobs.middleware import Hooks
from jobs.outcome import Outcome
from jobs.publishing import Announcement
from jobs.registry import actors
from jobs.rows import Job
from jobs.slots import GlobalLimits
from jobs.tables import jobs
from jobs.testing.silence import Silence
from jobs.testing.standin import StandIn
from jobs.threads import Threads
from jobs.wire import Wire

logger = logging.getLogger("jobs")

#: Seconds. So long that a debugger may stop an attempt, and that no lease need be renewed.
LEASE = 86_400.0
#: Plain functions at once; jobs that wait for jobs need more than one.
THREADS = 40


class Bench:
    """Runs attempts on the caller's loop, one after the other."""

    def __init__(self, used: StandIn) -> None:
        self._wire = used.nowire()
        self._worker_id = uuid4().hex
        database, health = used.database(), Health(LEASE)
        self._keeper = LeaseKeeper(database, self._worker_id, lease=LEASE, health=health)
        self._desk = Desk(
            database=database,
            writes=GroupCommit(database),
            live=Silence(),
            keeper=self._keeper,
            health=health,
            metering=Metering(
                database, used.nowire().client, provider_limits={}, budgets=used.settings.budgets
            ),
            limits=GlobalLimits(
                self._wire, database, worker_id=self._worker_id, queues={}, limits={}, lease=LEASE
            ),
            worker_id=self._worker_id,
            threads=Threads(THREADS),
            announce=logger.debug,
        )

    @contextmanager
    def hearing(self) -> Iterator[None]:
        """Let the running attempts be cancelled inside the block, from any thread."""
        loop = asyncio.get_running_loop()

        def hear(news: str) -> None:
            kind, _, name = news.partition(":")
            if kind == "cancel":
                job_id, _, epoch = name.partition(".")
                loop.call_soon_threadsafe(self._keeper.interrupt, job_id, int(epoch), "lost")

        self._wire.ears.append(hear)
        try:
            yield
        finally:
            self._wire.ears.remove(hear)

    async def run(self, job: Job) -> Outcome | None:
        """Make the next attempt of a job that waits; None if there was none to make, because it has been cancelled.

        Raises:
            ConfigError: Nobody has declared the job's actor.
            StorageError: The database failed.
        """
        spec = actors().get(job.actor_name)
        if spec is None:
            raise ConfigError(
                f"job {job.job_id[:8]} cannot run: no actor {job.actor_name!r} is declared here; "
                "import the module that declares it"
            )
        since = time.monotonic()
        claim = await self._desk.writes.write(_take, job, self._worker_id)
        if claim is None:
            return None
        hooks = _Noting(self._wire, Announcement.of(job).message())
        await Attempt(self._desk, spec, claim, hooks, since=since).run()
        return hooks.outcome


class _Noting(Hooks):
    """Calls the middleware, and keeps the outcome."""

    def __init__(self, wire: Wire, message: dramatiq.Message[Any]) -> None:
        super().__init__(wire, message)
        self.outcome: Outcome | None = None

    async def after(self, outcome: Outcome) -> None:
        self.outcome = outcome
        await super().after(outcome)


def _take(connection: Connection, job: Job, worker_id: str) -> Claim | None:
    if job.state != "available":
        waits = (jobs.c.id == job.job_id) & (jobs.c.epoch == job.epoch) & (jobs.c.state == job.state)
        connection.execute(update(jobs).where(waits).values(state="available", published_at=None))
    return claims.claim(connection, job.job_id, job.epoch + 1, worker_id, LEASE)
