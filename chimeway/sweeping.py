"""The ProgressionWorker's round: waits that are over go on, and what a crash or an emptied Redis left behind is taken up.

Two that run at once do no harm: each row's carrier is replaced by compare-and-set.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from typing import Any, TypeAlias

from sqlalchemy import Connection, delete, select

from chimeway import redriving, store
from chimeway.carriers import PREFIX
from chimeway.settings import settings
from chimeway.sweeping_here import apart, sweep_here
from chimeway.writing.lost import settle_lost_contents, settle_lost_writes
from jobs.sqltypes import db_now
from jobs.tables import ENDED
from jobs.tables import jobs as job_rows
from jobs.threads import in_thread

logger = logging.getLogger("chimeway")

_Step: TypeAlias = Callable[[Connection], "list[Any]"]

#: Rows that one transaction takes up, so that it holds nobody for long.
BATCH = 200
#: Seconds that the jobs' own rows are kept after their end: what happened stands in the deliveries.
KEEP_CARRIERS = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What was taken up."""

    #: Runs whose wait gate had opened.
    waits: int = 0
    #: Runs whose step was over and that nobody had moved on.
    stalled: int = 0
    deliveries: int = 0
    signals: int = 0
    feedback: int = 0
    digests: int = 0
    #: Texts that a model was still to write, or whose job has ended without one.
    writes: int = 0
    #: Parts of events of many recipients.
    chunks: int = 0

    @property
    def total(self) -> int:
        """How much in all."""
        return sum(asdict(self).values())


def sweep() -> Swept:
    """Do a round now, as workers do each minute.

    With the synchronous dispatcher this process does the work that it finds; else it is given to jobs, for workers. A row
    that cannot be taken up is told in the log, and the next round comes back to it; all others are taken up.

    Raises:
        ConfigError: The jobs cannot be used as configured.
        StorageError: The database failed; what was taken up by then stays so.
    """
    if settings().dispatcher == "sync":
        # Nothing can be done without it, so that is no matter of a single row.
        store.database()
        done = sweep_here(settings().clock.now())
        return Swept(**{**done, "writes": _all("writes", *_writes(settings().clock.now()))})
    return sweep_to_jobs()


def sweep_to_jobs() -> Swept:
    """Do a round, and give what it finds to jobs, whoever the dispatcher is: what the ProgressionWorker does.

    Raises:
        ConfigError: The jobs cannot be used as configured.
        StorageError: The database failed; what was taken up by then stays so.
    """
    store.database()
    counts = {name: _all(name, *steps) for name, steps in _steps(settings().clock.now()).items()}
    with apart("removing carriers that have ended"):
        while store.write(_prune):
            pass
    return Swept(**counts)


async def asweep() -> Swept:
    """Do as `sweep` does, without blocking the loop.

    Raises:
        ConfigError: The jobs cannot be used as configured.
        StorageError: The database failed; what was taken up by then stays so.
    """
    return await in_thread(sweep)


def _writes(now: datetime) -> list[_Step]:
    """Give the steps for what models write, those before which say that a job has failed."""
    return [
        partial(settle_lost_contents, now=now, limit=BATCH),
        partial(settle_lost_writes, now=now, limit=BATCH),
        partial(redriving.redrive_writes, limit=BATCH),
    ]


def _steps(now: datetime) -> dict[str, list[_Step]]:
    return {
        "writes": _writes(now),
        "waits": [partial(redriving.redrive_waits, now=now, limit=BATCH)],
        "stalled": [partial(redriving.redrive_stalled, now=now, limit=BATCH)],
        "deliveries": [partial(redriving.redrive_deliveries, now=now, limit=BATCH)],
        "signals": [partial(redriving.redrive_signals, limit=BATCH)],
        "feedback": [partial(redriving.redrive_feedback, limit=BATCH)],
        "digests": [partial(redriving.redrive_buckets, now=now, limit=BATCH)],
        "chunks": [partial(redriving.redrive_chunks, limit=BATCH)],
    }


def _all(name: str, *steps: _Step) -> int:
    """Take up all that the steps find, a part in each transaction; a step that fails keeps no other from its work."""
    count = 0
    for step in steps:
        with apart(f"taking up {name}"):
            while found := len(store.write(step)):
                count += found
                if found < BATCH:
                    break
    return count


def _prune(connection: Connection) -> bool:
    """Remove carriers that have ended; True if there may be more."""
    old = (
        select(job_rows.c.id)
        .where(
            job_rows.c.state.in_(ENDED),
            job_rows.c.ended_at < db_now(-KEEP_CARRIERS),
            job_rows.c.actor_name.startswith(PREFIX, autoescape=True),
        )
        .limit(BATCH)
    )
    found = list(connection.scalars(old))
    if found:
        connection.execute(delete(job_rows).where(job_rows.c.id.in_(found)))
    return len(found) == BATCH
