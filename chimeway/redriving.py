"""Gives what has no carrier any more to another: the repair that the sweep and `on_duplicate="redrive"` share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, and_, or_, select, update

from chimeway import carriers
from chimeway.engine.due import stalled_runs
from chimeway.fanout import Chunk
from chimeway.models import Orchestration
from chimeway.store import add_jobs
from chimeway.tables import deliveries, digest_buckets, fanouts, feedback, runs, signals, step_outputs
from jobs.new_job import NewJob
from jobs.sqltypes import db_now
from jobs.tables import ENDED
from jobs.tables import jobs as job_rows

#: Seconds that a process which delivers itself is given before the sweep takes over.
OWN_TIME = 60.0
#: Seconds that this clock may be ahead of the database's.
AHEAD = 30.0


def due_deliveries(now: datetime) -> ColumnElement[bool]:
    """Give the condition of deliveries that may go out now."""
    ready = deliveries.c.orchestration_state == Orchestration.READY.value
    deferred = (deliveries.c.orchestration_state == Orchestration.DEFERRED.value) & (
        deliveries.c.eligible_at <= now
    )
    pending = (deliveries.c.status == "pending") & (ready | deferred)
    failed = (deliveries.c.status == "failed") & (deliveries.c.next_attempt_at <= now) & (ready | deferred)
    dispatched = (deliveries.c.status == "dispatched") & (deliveries.c.lease_until < now)
    writing = (deliveries.c.status == "pending") & (
        deliveries.c.orchestration_state == Orchestration.CONTENT_PENDING.value
    )
    return or_(pending, failed, dispatched, writing)


def redrive_deliveries(
    connection: Connection, now: datetime, limit: int, *where: ColumnElement[bool]
) -> list[str]:
    """Give deliveries that are due and have no carrier a new one; give their ids.

    Args:
        connection: A transaction that writes.
        now: The time.
        limit: How many at most.
        where: Which ones; none means all, but for those whose own process may still be at it.
    """
    young = (
        ()
        if where
        else (
            or_(
                deliveries.c.carrier_id.is_not(None),
                deliveries.c.status != "pending",
                deliveries.c.updated_at < now - timedelta(seconds=OWN_TIME),
            ),
        )
    )
    query = (
        select(deliveries.c.id, deliveries.c.carrier_id, deliveries.c.orchestration_state)
        .outerjoin(job_rows, job_rows.c.id == deliveries.c.carrier_id)
        .where(due_deliveries(now), _abandoned(), *where, *young)
        .limit(limit)
    )
    jobs: list[NewJob] = []
    given: list[str] = []
    for delivery_id, carrier_id, state in connection.execute(query).all():
        make = carriers.write_content if state == Orchestration.CONTENT_PENDING else carriers.deliver
        if job := _replace(
            connection, deliveries, deliveries.c.id == delivery_id, carrier_id, make(delivery_id)
        ):
            jobs.append(job)
            given.append(delivery_id)
    add_jobs(connection, jobs)
    return given


def redrive_chunks(connection: Connection, limit: int, *where: ColumnElement[bool]) -> list[Chunk]:
    """Give recipients that are not planned and have no carrier a new one."""
    query = (
        select(fanouts.c.event_id, fanouts.c.chunk, fanouts.c.carrier_id)
        .outerjoin(job_rows, job_rows.c.id == fanouts.c.carrier_id)
        .where(fanouts.c.planned_at.is_(None), _abandoned(), *where)
        .limit(limit)
    )
    jobs: list[NewJob] = []
    given: list[Chunk] = []
    for event_id, number, carrier_id in connection.execute(query).all():
        which = (fanouts.c.event_id == event_id) & (fanouts.c.chunk == number)
        if job := _replace(connection, fanouts, which, carrier_id, carriers.plan(event_id, number)):
            jobs.append(job)
            given.append(Chunk(event_id, number))
    add_jobs(connection, jobs)
    return given


def redrive_rows(
    connection: Connection,
    table: Table,
    make: Callable[[str], NewJob],
    limit: int,
    *where: ColumnElement[bool],
) -> list[str]:
    """Give rows of a table with an `id` that have work to be done and no carrier a new one."""
    query = (
        select(table.c.id, table.c.carrier_id)
        .outerjoin(job_rows, job_rows.c.id == table.c.carrier_id)
        .where(_abandoned(), *where)
        .limit(limit)
    )
    jobs: list[NewJob] = []
    given: list[str] = []
    for row_id, carrier_id in connection.execute(query).all():
        if job := _replace(connection, table, table.c.id == row_id, carrier_id, make(row_id)):
            jobs.append(job)
            given.append(row_id)
    add_jobs(connection, jobs)
    return given


def redrive_signals(connection: Connection, limit: int) -> list[str]:
    """Give signals that were not routed to another carrier."""
    return redrive_rows(connection, signals, carriers.route_signal, limit, signals.c.processed_at.is_(None))


def redrive_feedback(connection: Connection, limit: int) -> list[str]:
    """Give what providers said and nobody took in to another carrier."""
    return redrive_rows(
        connection, feedback, carriers.process_feedback, limit, feedback.c.processed_at.is_(None)
    )


def redrive_buckets(connection: Connection, now: datetime, limit: int) -> list[str]:
    """Give digests that are due to another carrier."""
    due = and_(digest_buckets.c.flushed_at.is_(None), digest_buckets.c.due_at <= now)
    return redrive_rows(connection, digest_buckets, carriers.flush_digest, limit, due)


def redrive_waits(connection: Connection, now: datetime, limit: int) -> list[str]:
    """Give runs whose wait gate has opened to a job that moves them on."""
    due = and_(runs.c.state == "waiting", runs.c.due_at <= now)
    return redrive_rows(connection, runs, carriers.progress, limit, due)


def redrive_stalled(connection: Connection, now: datetime, limit: int) -> list[str]:
    """Give runs whose step is over, and that nobody has moved on for a minute, to a job that does."""
    found = stalled_runs(connection, now - timedelta(seconds=OWN_TIME), limit)
    return redrive_rows(connection, runs, carriers.progress, limit, runs.c.id.in_(found)) if found else []


def redrive_writes(connection: Connection, limit: int) -> list[tuple[str, str]]:
    """Give LLM steps whose job is gone without a word to another carrier."""
    query = (
        select(step_outputs.c.run_id, step_outputs.c.step_key, step_outputs.c.carrier_id)
        .outerjoin(job_rows, job_rows.c.id == step_outputs.c.carrier_id)
        .where(step_outputs.c.state == "pending", job_rows.c.id.is_(None))
        .limit(limit)
    )
    given: list[tuple[str, str]] = []
    jobs: list[NewJob] = []
    for run_id, step_key, carrier_id in connection.execute(query).all():
        which = (step_outputs.c.run_id == run_id) & (step_outputs.c.step_key == step_key)
        if job := _replace(connection, step_outputs, which, carrier_id, carriers.write(run_id, step_key)):
            jobs.append(job)
            given.append((run_id, step_key))
    add_jobs(connection, jobs)
    return given


def redrive(connection: Connection, event_id: str, now: datetime, *, here: bool) -> list[str | Chunk]:
    """Give what an event has left undone to the dispatcher once more; give what this process is to do itself."""
    if here:
        unplanned = select(fanouts.c.chunk).where(
            fanouts.c.event_id == event_id, fanouts.c.planned_at.is_(None)
        )
        due = select(deliveries.c.id).where(deliveries.c.event_id == event_id, due_deliveries(now))
        chunks: Sequence[Any] = [Chunk(event_id, number) for number in connection.scalars(unplanned)]
        return [*connection.scalars(due), *chunks]
    # Far more than one event has in one transaction.
    redrive_deliveries(connection, now, 100_000, deliveries.c.event_id == event_id)
    redrive_chunks(connection, 100_000, fanouts.c.event_id == event_id)
    return []


def _abandoned() -> ColumnElement[bool]:
    """Give the condition of rows whose job is gone, has ended, or is due much later than they are: a clock has moved."""
    later = (job_rows.c.state == "scheduled") & (job_rows.c.scheduled_at > db_now(AHEAD))
    return or_(job_rows.c.id.is_(None), job_rows.c.state.in_(ENDED), later)


def _replace(
    connection: Connection, table: Table, which: ColumnElement[bool], seen: str | None, job: NewJob
) -> NewJob | None:
    """Note the new carrier, unless another sweep was quicker."""
    before = table.c.carrier_id.is_(None) if seen is None else table.c.carrier_id == seen
    changed = connection.execute(update(table).where(which, before).values(carrier_id=job.job_id))
    return job if changed.rowcount == 1 else None
