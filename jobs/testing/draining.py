"""`drain_queue`: runs the jobs that are due, here and now, and says what came of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sqlalchemy import ColumnElement, Connection, and_, or_, select

from aquila.errors import ConfigError
from aquila.sink.ambient import _SINKS  # noqa: PLC2701
from jobs import rows
from jobs.outcome import Errored
from jobs.rows import Job, as_job
from jobs.sqltypes import db_now
from jobs.tables import WAITING, State, jobs
from jobs.testing.bench import Bench
from jobs.testing.blocking import run_blocking
from jobs.testing.order import as_added
from jobs.testing.standin import StandIn, stand_in
from jobs.threads import in_thread


@dataclass(frozen=True, slots=True, kw_only=True)
class Drained:
    """How many jobs a drain has run, by the state in which it left them; each counts once."""

    completed: int = 0
    discarded: int = 0
    #: They failed, and run again later.
    retryable: int = 0
    cancelled: int = 0
    #: They were put off.
    scheduled: int = 0
    #: Somebody had them run once more.
    available: int = 0


def drain_queue(
    queue_name: str | None = None,
    *,
    with_scheduled: bool | datetime = False,
    with_recursion: bool = True,
    limit: int | None = None,
    raising: bool = False,
) -> Drained:
    """Run the due jobs of a queue, as a worker would: the first priority first, then in the order in which they are due.

    Called where an event loop runs, it runs them in a thread, and the loop stands still; `adrain_queue` does not.

    Args:
        queue_name: The queue; None means all of them. One that is paused is run as well.
        with_scheduled: Whether jobs run that are not due yet, those that failed and wait for their next attempt included;
            a datetime says up to when.
        with_recursion: Whether jobs run that are sent meanwhile.
        limit: How many attempts are made at most; None sets no limit.
        raising: Raise the first error that an attempt ends with, once it is stored.

    Raises:
        ConfigError: No sandbox is open, a value cannot be used, or an actor is not declared.
        StorageError: The database failed.
    """
    return run_blocking(
        partial(
            adrain_queue,
            queue_name,
            with_scheduled=with_scheduled,
            with_recursion=with_recursion,
            limit=limit,
            raising=raising,
        )
    )


async def adrain_queue(
    queue_name: str | None = None,
    *,
    with_scheduled: bool | datetime = False,
    with_recursion: bool = True,
    limit: int | None = None,
    raising: bool = False,
) -> Drained:
    """Do as `drain_queue` does, on the running loop.

    Args:
        queue_name: The queue; None means all of them.
        with_scheduled: Whether jobs run that are not due yet; a datetime says up to when.
        with_recursion: Whether jobs run that are sent meanwhile.
        limit: How many attempts are made at most; None sets no limit.
        raising: Raise the first error that an attempt ends with, once it is stored.

    Raises:
        ConfigError: No sandbox is open, a value cannot be used, or an actor is not declared.
        StorageError: The database failed.
    """
    if isinstance(with_scheduled, datetime) and with_scheduled.tzinfo is None:
        raise ConfigError(
            f"with_scheduled={with_scheduled.isoformat()} has no time zone; use an aware datetime"
        )
    used = await in_thread(stand_in)
    database = await in_thread(used.database)
    until: datetime | None = with_scheduled if isinstance(with_scheduled, datetime) else None
    wanted = _Due(used.since, queue_name, until, everything=with_scheduled is True)
    if not with_recursion:
        wanted.only = await database.aread(wanted.ids)
    return await _drain(used, wanted, limit, raising=raising)


def run_sent(job_ids: Sequence[str]) -> None:
    """Make the first attempt of jobs that were just sent, in place.

    Raises:
        ConfigError: An actor is not declared.
        StorageError: The database failed.
    """
    # A job has its own live stream; what it says is no part of the one that the sender feeds, if that is a job as well.
    context = copy_context()
    context.run(_SINKS.set, ())
    run_blocking(partial(_run_each, job_ids), context)


async def _run_each(job_ids: Sequence[str]) -> None:
    used = await in_thread(stand_in)
    bench = Bench(used)
    with bench.hearing():
        for job_id in job_ids:
            job = await used.database().aread(rows.get, job_id)
            if job.state == "available":
                await bench.run(job)


async def _drain(used: StandIn, wanted: _Due, limit: int | None, *, raising: bool) -> Drained:
    database, bench = used.database(), Bench(used)
    ran: dict[str, None] = {}
    made = 0
    with bench.hearing():
        while limit is None or made < limit:
            job = await database.aread(wanted.first)
            if job is None:
                break
            made += 1
            outcome = await bench.run(job)
            after = await database.aread(rows.get, job.job_id)
            if outcome is not None:
                ran[job.job_id] = None
            if after.state in WAITING and after.attempt <= job.attempt:
                # It waits for something and it cost no attempt, so that it might do so for ever.
                wanted.stuck.add(job.job_id)
            if raising and isinstance(outcome, Errored):
                raise outcome.error
    states: Counter[str] = Counter(await database.aread(_states, list(ran)))
    return Drained(**{name: states[name] for name in Drained.__dataclass_fields__})


class _Due:
    """The jobs that a drain is to run."""

    def __init__(
        self, since: datetime, queue_name: str | None, until: datetime | None, *, everything: bool
    ) -> None:
        self._since = since
        self._queue_name = queue_name
        self._until = until
        self._everything = everything
        #: Jobs that are not run once more.
        self.stuck: set[str] = set()
        #: The only ones that may run; None sets no such limit.
        self.only: Collection[str] | None = None

    def ids(self, connection: Connection) -> list[str]:
        """Give the ids of all that are due now."""
        return [str(job_id) for job_id in connection.scalars(select(jobs.c.id).where(self._matches()))]

    def first(self, connection: Connection) -> Job | None:
        """Give the one that is next."""
        order = (jobs.c.priority, jobs.c.scheduled_at, *as_added(connection))
        row = (
            connection.execute(select(jobs).where(self._matches()).order_by(*order).limit(1))
            .mappings()
            .first()
        )
        return None if row is None else as_job(row)

    def _matches(self) -> ColumnElement[bool]:
        conditions = [jobs.c.created_at >= self._since, jobs.c.id.not_in(self.stuck)]
        later: ColumnElement[bool] = jobs.c.state.in_(["scheduled", "retryable"])
        if not self._everything:
            later = and_(later, jobs.c.scheduled_at <= (db_now() if self._until is None else self._until))
        if self._queue_name is not None:
            conditions.append(jobs.c.queue_name == self._queue_name)
        if self.only is not None:
            conditions.append(jobs.c.id.in_(self.only))
        return and_(or_(jobs.c.state == "available", later), *conditions)


def _states(connection: Connection, job_ids: Sequence[str]) -> list[State]:
    return [rows.get(connection, job_id).state for job_id in job_ids]
