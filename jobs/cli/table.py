"""Jobs as the lines of a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from jobs.cli.follow import SHORT
from jobs.local_time import full_time, local_zone
from jobs.rows import Job

#: Characters of a time with its date.
_TIME = 19


def lines(found: Sequence[Job], now: datetime) -> Iterator[str]:
    """Lay jobs out.

    Args:
        found: The jobs.
        now: The time, whose zone theirs are told in.

    Yields:
        A header, which names the time zone, then a line for each job.
    """
    width = max((len(job.queue_name) for job in found), default=0)
    width = max(width, len("QUEUE"))
    yield f"{'JOB':<{SHORT}}  {'STATE':<10} {'TRIES':>5}  {zoned('ADDED', now)}  {'QUEUE':<{width}}  ACTOR"
    for job in found:
        attempts, added = f"{job.attempt}/{job.max_attempts}", full_time(job.created_at, now)
        yield (
            f"{job.job_id[:SHORT]}  {job.state:<10} {attempts:>5}  {added}  "
            f"{job.queue_name:<{width}}  {job.actor_name}"
        )


def zoned(title: str, now: datetime) -> str:
    """Give the title of a column of times, with the zone they are in."""
    return f"{title} ({local_zone(now).tzname(now)})".ljust(_TIME)
