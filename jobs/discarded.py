"""Dead letters: the jobs that were discarded. Looking at them, and running them again."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sqlalchemy import ColumnElement, Connection, and_, select, true

from aquila.errors import ConfigError
from jobs.broker import runtime
from jobs.errors import BrokerUnavailable, JobsError
from jobs.live import stream_key
from jobs.relay import hand_over
from jobs.rows import Job, as_job, run_again
from jobs.runtime import Runtime
from jobs.sqltypes import db_now
from jobs.tables import jobs
from jobs.threads import in_thread

logger = logging.getLogger("jobs")

#: Jobs that are made available in one transaction.
BATCH = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Letters:
    """Which discarded jobs are meant."""

    queue_name: str | None = None
    actor_name: str | None = None
    #: Discarded then or later.
    since: datetime | None = None

    def __post_init__(self) -> None:
        if self.since is not None and not (isinstance(self.since, datetime) and self.since.tzinfo):
            raise ConfigError(f"since={self.since!r} must be an aware datetime")

    def where(self) -> ColumnElement[bool]:
        """Give the condition on their rows."""
        return and_(
            jobs.c.state == "discarded",
            jobs.c.queue_name == self.queue_name if self.queue_name is not None else true(),
            jobs.c.actor_name == self.actor_name if self.actor_name is not None else true(),
            jobs.c.ended_at >= self.since if self.since is not None else true(),
        )


def dead_letters(
    *,
    limit: int = 100,
    queue_name: str | None = None,
    actor_name: str | None = None,
    since: datetime | None = None,
) -> list[Job]:
    """Read the jobs that were discarded, those discarded last first. Each says why in `reason` and `errors`.

    Args:
        limit: How many at most.
        queue_name: Only those of this queue.
        actor_name: Only those of this actor.
        since: Only those discarded then or later, an aware datetime.

    Raises:
        ConfigError: A value cannot be used, or the jobs cannot be used as configured.
        StorageError: The database failed.
    """
    _check_limit(limit)
    letters = Letters(queue_name=queue_name, actor_name=actor_name, since=since)
    return runtime().database().read(_latest, letters, limit)


def retry_all(
    *,
    limit: int | None = None,
    queue_name: str | None = None,
    actor_name: str | None = None,
    since: datetime | None = None,
) -> int:
    """Run discarded jobs again, as `JobHandle.retry` does, those discarded first first; give how many.

    One whose unique key another job has by now stays discarded, and is named in the log.

    Args:
        limit: How many at most; None means all that are discarded now.
        queue_name: Only those of this queue.
        actor_name: Only those of this actor.
        since: Only those discarded then or later, an aware datetime.

    Raises:
        ConfigError: A value cannot be used, or the jobs cannot be used as configured.
        StorageError: The database failed; those taken by then run again.
    """
    retrying = _begin(Letters(queue_name=queue_name, actor_name=actor_name, since=since), limit)
    while retrying.step():
        pass
    return retrying.count


async def adead_letters(
    *,
    limit: int = 100,
    queue_name: str | None = None,
    actor_name: str | None = None,
    since: datetime | None = None,
) -> list[Job]:
    """Do as `dead_letters` does.

    Raises:
        ConfigError: A value cannot be used, or the jobs cannot be used as configured.
        StorageError: The database failed.
    """
    wanted = {"queue_name": queue_name, "actor_name": actor_name}
    return await in_thread(partial(dead_letters, limit=limit, since=since, **wanted))


async def aretry_all(
    *,
    limit: int | None = None,
    queue_name: str | None = None,
    actor_name: str | None = None,
    since: datetime | None = None,
) -> int:
    """Do as `retry_all` does. Cancelled, it stops after the batch.

    Raises:
        ConfigError: A value cannot be used, or the jobs cannot be used as configured.
        StorageError: The database failed; those taken by then run again.
    """
    letters = Letters(queue_name=queue_name, actor_name=actor_name, since=since)
    retrying = await in_thread(_begin, letters, limit)
    while await in_thread(retrying.step):
        pass
    return retrying.count


class _Retrying:
    """Jobs on their way to be run again: `step` makes one batch available and hands it over."""

    def __init__(self, used: Runtime, letters: Letters, limit: int | None) -> None:
        self._used = used
        self._letters = letters
        self._limit = limit
        #: The last one looked at: when it was discarded, and its id.
        self._after: tuple[datetime, str] | None = None
        # What is discarded meanwhile, perhaps once more, is not run for ever.
        self._until = used.database().read(_now)
        #: How many run again.
        self.count = 0

    def step(self) -> bool:
        """See to one batch; False when there is nothing left."""
        most = BATCH if self._limit is None else min(BATCH, self._limit - self.count)
        if not most:
            return False
        page, retried = self._used.database().write(_run_again, self._letters, self._after, self._until, most)
        _offer(self._used, retried)
        self.count += len(retried)
        if page:
            self._after = page[-1]
        return len(page) == most


def _begin(letters: Letters, limit: int | None) -> _Retrying:
    if limit is not None:
        _check_limit(limit)
    return _Retrying(runtime(), letters, limit)


def _now(connection: Connection) -> datetime:
    now: datetime = connection.execute(select(db_now())).scalar_one()
    return now


def _latest(connection: Connection, letters: Letters, limit: int) -> list[Job]:
    query = select(jobs).where(letters.where()).order_by(jobs.c.ended_at.desc(), jobs.c.id).limit(limit)
    return [as_job(row) for row in connection.execute(query).mappings()]


def _run_again(
    connection: Connection, letters: Letters, after: tuple[datetime, str] | None, until: datetime, limit: int
) -> tuple[list[tuple[datetime, str]], list[Job]]:
    query = (
        select(jobs.c.ended_at, jobs.c.id)
        .where(letters.where(), jobs.c.ended_at <= until, _behind(after))
        .order_by(jobs.c.ended_at, jobs.c.id)
        .limit(limit)
        # Those that somebody else is running again are left to them.
        .with_for_update(skip_locked=True)
    )
    page = [(ended_at, str(job_id)) for ended_at, job_id in connection.execute(query)]
    retried: list[Job] = []
    for _, job_id in page:
        try:
            job, changed = run_again(connection, job_id)
        except JobsError as error:
            logger.warning("%s", error)
        else:
            retried += [job] if changed else []
    return page, retried


def _behind(after: tuple[datetime, str] | None) -> ColumnElement[bool]:
    if after is None:
        return true()
    ended_at, job_id = after
    return (jobs.c.ended_at > ended_at) | ((jobs.c.ended_at == ended_at) & (jobs.c.id > job_id))


def _offer(used: Runtime, retried: Sequence[Job]) -> None:
    if not retried:
        return
    wire = used.wire()
    try:
        # In one call: a worker may be about to write into the first of them.
        with wire.translated():
            wire.client.delete(*(stream_key(job.job_id) for job in retried))
    except BrokerUnavailable as error:
        logger.warning("the old live streams of %s jobs stay: %s", len(retried), error)
    hand_over(used.database(), wire, retried)


def _check_limit(limit: int) -> None:
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise ConfigError(f"limit={limit!r} must be at least 1")
