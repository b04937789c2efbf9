"""Repairs the rows: what is due becomes available, and what a dead worker held runs again or is given up."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import ColumnElement, Connection, select, update

from jobs.claims import error_entry
from jobs.database import Database
from jobs.rows import Job, as_job
from jobs.sqltypes import db_now
from jobs.tables import jobs

#: Rows repaired in one transaction.
BATCH = 200
#: What an attempt's entry in `errors` says when nobody was left to say it.
WORKER_DIED = "WorkerDied"


def promote(database: Database) -> int:
    """Make scheduled and retryable rows available that are due; give how many.

    Raises:
        StorageError: The database failed.
    """
    if not database.read(_any_due):
        return 0
    count = 0
    while moved := database.write(_promote):
        count += moved
        if moved < BATCH:
            break
    return count


def rescue(database: Database, *, fresh: Callable[[], bool] = lambda: True) -> list[Job]:
    """Take the jobs back whose lease ran out; give them as they were. Call it only if leases could be renewed.

    Args:
        database: The rows.
        fresh: Asked once the rows are chosen, whether the database has answered in time until then. If it hung, nobody
            could renew, and nothing is taken back.

    Raises:
        StorageError: The database failed.
    """
    return database.write(_rescue_all, fresh) if database.read(_any_expired) else []


def is_spent(job: Job) -> bool:
    """Say whether a job whose worker died has no attempt left."""
    return job.attempt >= job.max_attempts


def death_notice(job: Job) -> str:
    """Say in words how often a job's worker died."""
    deaths = 1 + sum(entry["error"] == WORKER_DIED for entry in job.errors)
    return f"the worker died {deaths} {'time' if deaths == 1 else 'times'} while it ran this job"


def _any_due(connection: Connection) -> bool:
    return connection.execute(select(jobs.c.id).where(_is_due()).limit(1)).first() is not None


def _any_expired(connection: Connection) -> bool:
    return connection.execute(select(jobs.c.id).where(_is_expired()).limit(1)).first() is not None


# Rows that are locked are left to whoever is moving them. Waiting for one would let a single transaction that hangs stop
# the repair of all others, and two sweeps that wait for each other's rows would fail.


def _promote(connection: Connection) -> int:
    query = select(jobs.c.id).where(_is_due()).limit(BATCH).with_for_update(skip_locked=True)
    due = list(connection.scalars(query))
    connection.execute(update(jobs).where(jobs.c.id.in_(due)).values(state="available", published_at=None))
    return len(due)


def _rescue_all(connection: Connection, fresh: Callable[[], bool]) -> list[Job]:
    at = connection.execute(select(db_now())).scalar_one().isoformat()
    query = select(jobs).where(_is_expired()).limit(BATCH).with_for_update(skip_locked=True)
    expired = [as_job(row) for row in connection.execute(query).mappings()]
    if not fresh():
        return []
    for job in expired:
        _rescue(connection, job, at)
    return expired


def _rescue(connection: Connection, job: Job, at: str) -> None:
    entry = {**error_entry(job.attempt, WORKER_DIED, death_notice(job)), "at": at}
    spent = {"state": "discarded", "ended_at": db_now(), "reason": death_notice(job)}
    again = {"state": "available", "published_at": None, "worker_id": None}
    connection.execute(
        update(jobs)
        .where(jobs.c.id == job.job_id)
        .values(errors=[*job.errors, entry], lease_until=None, **(spent if is_spent(job) else again))
    )


def _is_due() -> ColumnElement[bool]:
    return jobs.c.state.in_(["scheduled", "retryable"]) & (jobs.c.scheduled_at <= db_now())


def _is_expired() -> ColumnElement[bool]:
    return (jobs.c.state == "executing") & (jobs.c.lease_until < db_now())
