"""Repairs the rows: what is due becomes available, and what a dead worker held runs again or is given up."""

from __future__ import annotations

from sqlalchemy import Connection, select, update

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
    return database.write(_promote)


def rescue(database: Database) -> list[Job]:
    """Take the jobs back whose lease ran out; give them as they were. Call it only if leases could be renewed.

    Raises:
        StorageError: The database failed.
    """
    expired = database.read(_expired)
    return database.write(_rescue_all, expired) if expired else []


def is_spent(job: Job) -> bool:
    """Say whether a job whose worker died has no attempt left."""
    return job.attempt >= job.max_attempts


def death_notice(job: Job) -> str:
    """Say in words how often a job's worker died."""
    deaths = 1 + sum(entry["error"] == WORKER_DIED for entry in job.errors)
    return f"the worker died {deaths} {'time' if deaths == 1 else 'times'} while it ran this job"


def _any_due(connection: Connection) -> bool:
    query = select(jobs.c.id).where(
        jobs.c.state.in_(["scheduled", "retryable"]), jobs.c.scheduled_at <= db_now()
    )
    return connection.execute(query.limit(1)).first() is not None


def _promote(connection: Connection) -> int:
    due = update(jobs).where(jobs.c.state.in_(["scheduled", "retryable"]), jobs.c.scheduled_at <= db_now())
    return connection.execute(due.values(state="available", published_at=None)).rowcount


def _expired(connection: Connection) -> list[Job]:
    query = select(jobs).where(jobs.c.state == "executing", jobs.c.lease_until < db_now()).limit(BATCH)
    return [as_job(row) for row in connection.execute(query).mappings()]


def _rescue_all(connection: Connection, expired: list[Job]) -> list[Job]:
    at = connection.execute(select(db_now())).scalar_one().isoformat()
    return [job for job in expired if _rescue(connection, job, at)]


def _rescue(connection: Connection, job: Job, at: str) -> bool:
    entry = {**error_entry(job.attempt, WORKER_DIED, death_notice(job)), "at": at}
    spent = {"state": "discarded", "ended_at": db_now()}
    again = {"state": "available", "published_at": None, "worker_id": None}
    # The lease is looked at once more: its holder may have renewed it in between.
    changed = connection.execute(
        update(jobs)
        .where(jobs.c.id == job.job_id, jobs.c.epoch == job.epoch, jobs.c.state == "executing")
        .where(jobs.c.lease_until < db_now())
        .values(errors=[*job.errors, entry], lease_until=None, **(spent if is_spent(job) else again))
    )
    return changed.rowcount == 1
