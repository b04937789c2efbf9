"""Why a job does not run now, in words and with what helps: for readers of its row, and for who waits for its result."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, select

from aquila.sink.printable import one_line
from jobs import census
from jobs.claims import WAITS
from jobs.local_time import clock_time, due_time
from jobs.queues import paused_since
from jobs.rows import Job
from jobs.sqltypes import db_now
from jobs.tables import WAITING

#: Characters of an error that are told.
ERROR_LENGTH = 200


def why_waiting(connection: Connection, job: Job) -> str | None:
    """Say in words why a job does not run now; None if it runs, has ended, or nothing is in its way but its turn.

    Times are those of this machine's zone.

    Args:
        connection: A transaction.
        job: The job, as it is now.
    """
    if job.state not in WAITING:
        return None
    now: datetime = connection.execute(select(db_now())).scalar_one()
    name = job.queue_name
    since = paused_since(connection).get(name)
    if since is not None:
        return (
            f"the queue {name!r} is paused since {clock_time(since, now)}; run `aquila queues resume {name}`"
        )
    return census.serves(census.alive(connection), name, job.actor_name) or own_reason(job, now)


def own_reason(job: Job, now: datetime) -> str | None:
    """Say what of a waiting job itself, not of queues and workers, keeps it from running now; None for nothing."""
    kept = job.metadata.get(WAITS)
    said = one_line(str(kept), ERROR_LENGTH) if kept else None
    if job.state == "retryable":
        return f"{said or _last_failure(job)}; again {due_time(job.scheduled_at, now)}"
    if job.state == "scheduled" and said is None:
        return f"it is due {due_time(job.scheduled_at, now)}"
    return said


def _last_failure(job: Job) -> str:
    if not job.errors:
        return "an attempt failed"
    last = job.errors[-1]
    return one_line(f"attempt {last['attempt']} failed: {last['error']}: {last['message']}", ERROR_LENGTH)
