"""Carries rows to the wire after their commit. A row that cannot be handed over now is handed over later."""

from __future__ import annotations

import logging

from sqlalchemy import Connection, select, update

from jobs.database import Database
from jobs.errors import BrokerUnavailable, StorageError
from jobs.rows import Job, as_job
from jobs.sqltypes import db_now
from jobs.tables import jobs
from jobs.wire import Wire, queue_of

logger = logging.getLogger("jobs")

#: Rows handed over, or looked for on the wire, in one go.
BATCH = 200


def hand_over(database: Database, wire: Wire, job: Job) -> bool:
    """Put one available job on the wire; False, and a line in the log, if that failed. The job is kept either way."""
    try:
        _publish(wire, job)
        database.write(_note_published, [job])
    except (BrokerUnavailable, StorageError) as error:
        logger.warning("job %s is kept and will be handed over by a worker: %s", job.job_id, error)
        return False
    return True


def relay(database: Database, wire: Wire) -> int:
    """Hand over every available row that is not on the wire; give how many.

    Raises:
        StorageError: The database failed.
        BrokerUnavailable: Redis does not answer.
    """
    count = 0
    while rows := database.read(_unpublished):
        for job in rows:
            _publish(wire, job)
        database.write(_note_published, rows)
        count += len(rows)
        if len(rows) < BATCH:
            break
    return count


def forget_wire(database: Database) -> None:
    """Take every available row to be off the wire, after Redis was flushed or replaced.

    Raises:
        StorageError: The database failed.
    """
    database.write(_forget_all)


def verify(database: Database, wire: Wire, *, older_than: float) -> int:
    """Look for the rows handed over longest ago on the wire; those that are gone count as not handed over.

    Args:
        database: The rows.
        wire: The wire.
        older_than: Seconds since they were handed over or seen there.

    Raises:
        StorageError: The database failed.
        BrokerUnavailable: Redis does not answer.
    """
    rows = database.read(_published_before, older_than)
    if not rows:
        return 0
    announced = {f"{job.job_id}.{job.epoch + 1}": job for job in rows}
    gone = set(wire.missing((queue_of(job.queue_name, job.priority), key) for key, job in announced.items()))
    database.write(_sort_out, rows, [job for key, job in announced.items() if key in gone])
    return len(gone)


def _publish(wire: Wire, job: Job) -> None:
    wire.publish(
        job.job_id,
        job.epoch + 1,
        actor_name=job.actor_name,
        queue_name=job.queue_name,
        priority=job.priority,
    )


def _unpublished(connection: Connection) -> list[Job]:
    query = (
        select(jobs)
        .where(jobs.c.state == "available", jobs.c.published_at.is_(None))
        .order_by(jobs.c.priority, jobs.c.scheduled_at)
        .limit(BATCH)
    )
    return [as_job(row) for row in connection.execute(query).mappings()]


def _published_before(connection: Connection, seconds: float) -> list[Job]:
    query = (
        select(jobs)
        .where(jobs.c.state == "available", jobs.c.published_at < db_now(-seconds))
        .order_by(jobs.c.published_at)
        .limit(BATCH)
    )
    return [as_job(row) for row in connection.execute(query).mappings()]


def _note_published(connection: Connection, rows: list[Job]) -> None:
    for job in rows:
        # Not if a worker was quicker and has claimed it since.
        connection.execute(
            update(jobs)
            .where(jobs.c.id == job.job_id, jobs.c.epoch == job.epoch, jobs.c.state == "available")
            .values(published_at=db_now())
        )


def _sort_out(connection: Connection, seen: list[Job], gone: list[Job]) -> None:
    _note_published(connection, seen)
    for job in gone:
        connection.execute(
            update(jobs)
            .where(jobs.c.id == job.job_id, jobs.c.epoch == job.epoch, jobs.c.state == "available")
            .values(published_at=None)
        )


def _forget_all(connection: Connection) -> None:
    connection.execute(
        update(jobs)
        .where(jobs.c.state == "available", jobs.c.published_at.is_not(None))
        .values(published_at=None)
    )
