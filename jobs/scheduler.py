"""Adds the jobs of the crons at their ticks: in every worker there is one, and for each cron one of them leads."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID, uuid5

import anyio
from sqlalchemy import Connection, delete, select, update

from aquila.errors import AquilaError
from jobs import rows
from jobs.crons import Cron, crons
from jobs.errors import StorageError
from jobs.leader import Leadership
from jobs.new_job import NewJob
from jobs.relay import hand_over
from jobs.rows import Job
from jobs.runtime import Runtime
from jobs.sqltypes import db_now, insert_into
from jobs.tables import crons as crons_table
from jobs.tables import databases
from jobs.threads import in_thread
from jobs.ticks import wanted

logger = logging.getLogger("jobs")

#: Seconds between two looks at who leads, unless the lease is so short that it needs more.
LOOK = 5.0
#: Seconds until it is tried again after the database failed, and after a job could not be made.
AGAIN = 1.0
MAKE_AGAIN = 60.0
#: A tick that is older by this many seconds, or by three leases, was missed.
LATE = 60.0
#: Jobs added in one transaction, so that it holds nobody for long.
BATCH = 100
#: Seconds of the shortest sleep: the database's clock has milliseconds.
_SHORTEST = 0.001


@dataclass(frozen=True, slots=True)
class Ticked:
    """What was done about a cron."""

    #: Jobs that were added.
    added: list[Job]
    #: When it is due again; past if there was too much for one transaction.
    due: datetime


class Scheduler:
    """Sleeps until the next tick of the crons it leads. A second one that leads at the same time changes nothing."""

    def __init__(
        self,
        runtime: Runtime,
        worker_id: str,
        *,
        declared: Callable[[], Mapping[str, Cron]] = crons,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare the service.

        Args:
            runtime: Where the jobs live.
            worker_id: This worker.
            declared: Gives the crons; those declared while it runs are taken up as well.
            clock: A monotonic clock.
        """
        self._runtime = runtime
        self._declared = declared
        self._clock = clock
        lease = runtime.settings.lease
        self._leadership = Leadership(runtime.database(), worker_id, lease)
        self._look = min(LOOK, lease / 4)
        self._late = max(LATE, 3 * lease)
        #: When the crons that are led here are due, by the database's clock, by key.
        self._due: dict[str, datetime] = {}

    async def run(self) -> None:
        """Add jobs at their ticks until cancelled; then another worker leads at once."""
        try:
            while True:
                try:
                    pause = await self._round()
                except StorageError as error:
                    logger.warning("crons wait: %s", error)
                    pause = AGAIN
                await anyio.sleep(pause)
        finally:
            if self._due:
                await self._leadership.resign([cron.leader for cron in self._declared().values()])

    async def _round(self) -> float:
        """Do what is due; give the seconds until there is more."""
        declared = list(self._declared().values())
        if not declared:
            return self._look
        asked = self._clock()
        led = await self._leadership.lead([cron.leader for cron in declared])
        # When the database's clock said so: between the question and the answer.
        read_at = (asked + self._clock()) / 2
        mine = [cron for cron in declared if cron.leader in led.names]
        # What another has led meanwhile is looked at anew.
        self._due = {cron.key: self._due[cron.key] for cron in mine if cron.key in self._due}
        ready: list[Job] = []
        for cron in mine:
            now = led.now + timedelta(seconds=self._clock() - read_at)
            if cron.key not in self._due or self._due[cron.key] <= now:
                ready += await self._tick(cron, now)
        if ready:
            await in_thread(hand_over, self._runtime.database(), self._runtime.wire(), ready)
        now = led.now + timedelta(seconds=self._clock() - read_at)
        pause = min((due - now).total_seconds() for due in self._due.values()) if self._due else self._look
        return min(max(pause, _SHORTEST), self._look)

    async def _tick(self, cron: Cron, now: datetime) -> list[Job]:
        """Add the jobs of one cron that are due, and note when it is due again; give those to be handed over."""
        try:
            done = await self._runtime.database().awrite(add_due, cron, cron.message(), self._late)
        except StorageError as error:
            # Perhaps of this cron alone, so the others are not kept from their ticks.
            logger.warning("cron %s waits: %s", cron.name, error)
            self._due[cron.key] = now + timedelta(seconds=AGAIN)
        except AquilaError as error:
            logger.warning("cron %s cannot make its job, and tries again in a minute: %s", cron.name, error)
            self._due[cron.key] = now + timedelta(seconds=MAKE_AGAIN)
        else:
            self._due[cron.key] = done.due
            return [job for job in done.added if job.state == "available"]
        return []


def add_due(connection: Connection, cron: Cron, message: NewJob, late: float) -> Ticked:
    """Add the jobs of the ticks since the last one that was seen to, and note that, in one transaction.

    Args:
        connection: A transaction that writes.
        cron: The cron.
        message: Its job, but for what tells one tick from another.
        late: Seconds a tick may be late without having been missed.
    """
    if connection.dialect.name == "postgresql":
        # A host's transaction that has a unique key keeps this cron waiting, and not the others behind it.
        connection.exec_driver_sql("SET LOCAL lock_timeout = '1s'")
    now = _now(connection)
    last = _last_tick(connection, cron)
    if last is not None and last > now + timedelta(seconds=late):
        logger.warning(
            "cron %s: its last tick is at %s, when a clock was ahead; it goes on from now", cron.name, last
        )
        connection.execute(update(crons_table).where(crons_table.c.name == cron.key).values(last_tick=now))
        last = now
    ticks = [] if last is None else cron.schedule.between(last, now)
    if not ticks:
        return Ticked([], cron.schedule.after(now))
    database_id = connection.execute(select(databases.c.id)).scalar_one()
    chosen = wanted(ticks, now, missed=cron.missed, late=late)
    batch, until = (chosen, ticks[-1]) if len(chosen) <= BATCH else (chosen[:BATCH], chosen[BATCH - 1])
    added = [job for tick in batch if (job := _add(connection, of_tick(cron, message, database_id, tick)))]
    connection.execute(update(crons_table).where(crons_table.c.name == cron.key).values(last_tick=until))
    return Ticked(added, cron.schedule.after(now if until == ticks[-1] else until))


def of_tick(cron: Cron, message: NewJob, database_id: str, tick: datetime) -> NewJob:
    """Give the job of one tick. Its id follows from the cron's name and the tick, so that nobody can add it twice."""
    said = {"cron": cron.name, "tick": tick.isoformat()}
    job_id = uuid5(UUID(hex=database_id), f"cron {cron.name} {tick.isoformat()}").hex
    return replace(message, job_id=job_id, metadata={**message.metadata, **said})


def _add(connection: Connection, new: NewJob) -> Job | None:
    """Add a job that is not there; None if it is, or if an older one has its unique key."""
    if rows.find(connection, new.job_id) is not None:
        return None
    job = rows.add(connection, new)
    return job if job.job_id == new.job_id else None


def _last_tick(connection: Connection, cron: Cron) -> datetime | None:
    """Read until when the cron was seen to, and keep others off it; None if it begins now."""
    query = select(crons_table.c.last_tick).where(crons_table.c.name == cron.key).with_for_update()
    known: datetime | None = connection.execute(query).scalar_one_or_none()
    if known is not None:
        return known
    row = insert_into(connection, crons_table).values(name=cron.key, last_tick=db_now())
    connection.execute(row.on_conflict_do_nothing())
    # With an older schedule it would, once that came back, have to make up for all the time between.
    others = crons_table.c.name.startswith(f"{cron.name}@", autoescape=True) & (
        crons_table.c.name != cron.key
    )
    connection.execute(delete(crons_table).where(others))
    return None


def _now(connection: Connection) -> datetime:
    now: datetime = connection.execute(select(db_now())).scalar_one()
    return now
