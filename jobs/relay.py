"""Carries rows to the wire after their commit. A row that cannot be handed over now is handed over later."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, select, tuple_, update

from jobs.database import Database
from jobs.errors import BrokerUnavailable, StorageError
from jobs.publishing import Announcement
from jobs.rows import Job
from jobs.sqltypes import db_now
from jobs.tables import jobs
from jobs.wire import Wire

logger = logging.getLogger("jobs")

#: Rows handed over, or looked for on the wire, in one go.
BATCH = 1000
_ANNOUNCED = (jobs.c.id, jobs.c.epoch, jobs.c.actor_name, jobs.c.queue_name, jobs.c.priority)
_UNPUBLISHED = (jobs.c.state == "available") & jobs.c.published_at.is_(None)


def hand_over(database: Database, wire: Wire, jobs_: Sequence[Job]) -> bool:
    """Put available jobs on the wire; False, and a line in the log, if that failed. The jobs are kept either way."""
    if not jobs_:
        return True
    said = [Announcement.of(job) for job in jobs_]
    try:
        wire.publish(said)
        database.write(_note_published, said)
    except (BrokerUnavailable, StorageError) as error:
        first = f"job {said[0].job_id}" if len(said) == 1 else f"{len(said)} jobs from {said[0].job_id}"
        logger.warning("%s: kept, and will be handed over by a worker: %s", first, error)
        return False
    return True


def relay_added(database: Database, wire: Callable[[], Wire], job_ids: Sequence[str]) -> int:
    """Hand over those of some jobs that are there and not on the wire; give how many.

    Args:
        database: The rows.
        wire: Gives the wire; asked only if there is something for it.
        job_ids: Jobs that somebody has added in a transaction that is over. If it was rolled back, they are not there.

    Raises:
        StorageError: The database failed.
        BrokerUnavailable: Redis does not answer.
    """
    count = 0
    for start in range(0, len(job_ids), BATCH):
        said = database.read(_unpublished_among, job_ids[start : start + BATCH])
        if said:
            wire().publish(said)
            if database.locks_rows:
                # SQLite would let this wait for whoever writes by now; there the workers' relay notes what they do not run.
                database.write(_note_published, said)
        count += len(said)
    return count


def relay(database: Database, wire: Wire) -> int:
    """Hand over every available row that is not on the wire; give how many. Several relays share the work.

    Raises:
        StorageError: The database failed.
        BrokerUnavailable: Redis does not answer.
    """
    step = _relay_locked if database.locks_rows else _relay_unlocked
    count = 0
    while found := step(database, wire):
        count += found
        if found < BATCH:
            break
    return count


def _relay_locked(database: Database, wire: Wire) -> int:
    # The rows stay locked until the commit, so that another relay takes others. A relay that is killed before it has
    # handed them over, and the next one does it once more, which changes nothing.
    return database.write(_note_and_publish, wire) if database.read(_any_unpublished) else 0


def _relay_unlocked(database: Database, wire: Wire) -> int:
    # SQLite locks the whole file, and nobody shall wait for Redis in there.
    said = database.read(_unpublished)
    if said:
        wire.publish(said)
        database.write(_note_published, said)
    return len(said)


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
    gone = set(wire.missing((said.queue, said.redis_id) for said in rows))
    database.write(_sort_out, rows, [said for said in rows if said.redis_id in gone])
    return len(gone)


def _note_and_publish(connection: Connection, wire: Wire) -> int:
    batch = (
        select(jobs.c.id)
        .where(_UNPUBLISHED)
        .order_by(jobs.c.priority, jobs.c.scheduled_at)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
        .cte("batch")
    )
    noted = update(jobs).where(jobs.c.id == batch.c.id).values(published_at=db_now())
    rows = connection.execute(noted.returning(*_ANNOUNCED, jobs.c.scheduled_at)).all()
    # Given in no order of their own.
    rows = sorted(rows, key=lambda row: (row.priority, row.scheduled_at))
    if rows:
        wire.publish([Announcement(job_id, epoch + 1, *rest) for job_id, epoch, *rest, _ in rows])
    return len(rows)


def _any_unpublished(connection: Connection) -> bool:
    return connection.execute(select(jobs.c.id).where(_UNPUBLISHED).limit(1)).first() is not None


def _unpublished(connection: Connection) -> list[Announcement]:
    query = select(*_ANNOUNCED).where(_UNPUBLISHED).order_by(jobs.c.priority, jobs.c.scheduled_at)
    return _said(connection, query.limit(BATCH))


def _unpublished_among(connection: Connection, job_ids: Sequence[str]) -> list[Announcement]:
    query = select(*_ANNOUNCED).where(_UNPUBLISHED, jobs.c.id.in_(job_ids))
    return _said(connection, query.order_by(jobs.c.priority, jobs.c.scheduled_at))


def _published_before(connection: Connection, seconds: float) -> list[Announcement]:
    query = (
        select(*_ANNOUNCED)
        .where(jobs.c.state == "available", jobs.c.published_at < db_now(-seconds))
        .order_by(jobs.c.published_at)
        .limit(BATCH)
    )
    return _said(connection, query)


def _said(connection: Connection, query: Select[Any]) -> list[Announcement]:
    return [Announcement(job_id, epoch + 1, *rest) for job_id, epoch, *rest in connection.execute(query)]


def _note_published(connection: Connection, said: Sequence[Announcement]) -> None:
    _mark(connection, said, db_now())


def _sort_out(connection: Connection, seen: Sequence[Announcement], gone: Sequence[Announcement]) -> None:
    _note_published(connection, seen)
    _mark(connection, gone, None)


def _mark(connection: Connection, said: Sequence[Announcement], published_at: Any) -> None:
    for start in range(0, len(said), BATCH):
        part = said[start : start + BATCH]
        # Not if a worker was quicker and has claimed it since.
        epochs = tuple_(jobs.c.id, jobs.c.epoch).in_([(one.job_id, one.epoch - 1) for one in part])
        _note(connection, epochs & (jobs.c.state == "available"), published_at)


def _forget_all(connection: Connection) -> None:
    _note(connection, (jobs.c.state == "available") & jobs.c.published_at.is_not(None), None)


def _note(connection: Connection, which: ColumnElement[bool], published_at: Any) -> None:
    # A row that is locked is being claimed or cancelled at this moment, and need not be noted. Waiting for it, with others
    # locked already, would make a deadlock with a worker that claims several of them in one transaction.
    free = select(jobs.c.id).where(which).with_for_update(skip_locked=True)
    connection.execute(update(jobs).where(jobs.c.id.in_(free)).values(published_at=published_at))
