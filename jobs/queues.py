"""Queues as a whole: paused and resumed, and counted. What is said of one is a row, so that it outlives Redis and workers."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import anyio
from sqlalchemy import Connection, func, select, update

from aquila.errors import ConfigError
from jobs import census
from jobs.broker import runtime
from jobs.database import Database
from jobs.errors import BrokerUnavailable, StorageError
from jobs.fetch import Fetcher
from jobs.settings import QUEUE_NAME
from jobs.sqltypes import db_now, insert_into
from jobs.tables import jobs, queues
from jobs.threads import in_thread

logger = logging.getLogger("jobs")

#: Seconds between two looks at the rows, if no news came.
LOOK_EVERY = 2.0
#: Characters that a row keeps of a queue's name.
LONGEST_NAME = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueCounts:
    """What there is to know of a queue."""

    name: str
    #: Jobs by state; a state without any is left out.
    states: Mapping[str, int]
    #: When it was paused; None while it is not.
    paused_at: datetime | None
    #: Worker processes that serve it.
    workers: int
    #: Jobs at once in each of them, by its own number.
    worker_limits: Sequence[int]
    #: Their sum. No more run, and fewer if the workers are configured with a limit for all of them.
    limit: int
    #: Jobs at once over all workers, as this process is configured; None without such a limit. Workers count by theirs.
    global_limit: int | None

    def to_dict(self) -> dict[str, Any]:
        """Give every field as JSON-ready values; times are ISO 8601."""
        values = ((name, getattr(self, name)) for name in self.__dataclass_fields__)
        return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values}


def pause_queue(name: str) -> bool:
    """Let workers begin no job of a queue until it is resumed; False if it was paused already.

    Jobs that run go on, and jobs can be sent. A queue that nobody has named yet can be paused too.

    Args:
        name: The queue.

    Raises:
        ConfigError: No queue can have that name, or the jobs cannot be used as configured.
        StorageError: The database failed, and nothing has changed.
    """
    changed = runtime().database().write(_pause, _checked(name))
    _tell(f"pause:{name}")
    return changed


def resume_queue(name: str) -> bool:
    """Let workers begin a queue's jobs again; False if it was not paused.

    Args:
        name: The queue.

    Raises:
        ConfigError: No queue can have that name, or the jobs cannot be used as configured.
        StorageError: The database failed, and nothing has changed.
    """
    changed = runtime().database().write(_resume, _checked(name))
    _tell(f"resume:{name}")
    return changed


def paused_queues() -> list[str]:
    """Give the names of the queues that are paused, in order.

    Raises:
        ConfigError: The jobs cannot be used as configured.
        StorageError: The database failed.
    """
    return sorted(runtime().database().read(paused_since))


def queue_counts() -> dict[str, QueueCounts]:
    """Count the jobs of every queue that a job, a worker or a pause names, in the order of their names.

    Raises:
        ConfigError: The jobs cannot be used as configured.
        StorageError: The database failed.
    """
    used = runtime()
    return used.database().read(_counts, used.settings.global_limits)


async def apause_queue(name: str) -> bool:
    """Do as `pause_queue` does, without blocking the loop.

    Raises:
        ConfigError: No queue can have that name, or the jobs cannot be used as configured.
        StorageError: The database failed, and nothing has changed.
    """
    return await in_thread(pause_queue, name)


async def aresume_queue(name: str) -> bool:
    """Do as `resume_queue` does, without blocking the loop.

    Raises:
        ConfigError: No queue can have that name, or the jobs cannot be used as configured.
        StorageError: The database failed, and nothing has changed.
    """
    return await in_thread(resume_queue, name)


async def apaused_queues() -> list[str]:
    """Do as `paused_queues` does, without blocking the loop.

    Raises:
        ConfigError: The jobs cannot be used as configured.
        StorageError: The database failed.
    """
    return await in_thread(paused_queues)


async def aqueue_counts() -> dict[str, QueueCounts]:
    """Do as `queue_counts` does, without blocking the loop.

    Raises:
        ConfigError: The jobs cannot be used as configured.
        StorageError: The database failed.
    """
    return await in_thread(queue_counts)


class PauseWatch:
    """Keeps a worker's fetchers as the rows say. News only makes it look at once: the rows are what counts."""

    def __init__(
        self, database: Database, fetchers: Mapping[str, Fetcher], announce: Callable[[str], None]
    ) -> None:
        """Prepare the watch.

        Args:
            database: Whose rows say what is paused.
            fetchers: By queue.
            announce: Told one line when a queue of this process is paused or resumed.
        """
        self._database = database
        self._fetchers = fetchers
        self._announce = announce
        self._woken = anyio.Event()

    def wake(self) -> None:
        """Look now."""
        self._woken.set()

    async def look(self) -> None:
        """Look once. A worker does so before it fetches.

        Raises:
            StorageError: The database failed.
        """
        paused = await self._database.aread(paused_since)
        for name, fetcher in self._fetchers.items():
            if fetcher.pause(name in paused):
                self._announce(f"queue {name} is paused" if name in paused else f"queue {name} goes on")

    async def run(self) -> None:
        """Look every few seconds until cancelled; while the database is away, all stays as it is."""
        while True:
            with anyio.move_on_after(LOOK_EVERY):
                await self._woken.wait()
            # Made before the look, so that news that comes meanwhile is not missed.
            self._woken = anyio.Event()
            try:
                await self.look()
            except StorageError as error:
                logger.warning("what is paused stays so: %s", error)


def paused_since(connection: Connection) -> dict[str, datetime]:
    """Give the queues that are paused, and since when."""
    query = select(queues.c.name, queues.c.paused_at).where(queues.c.paused_at.is_not(None))
    return {str(name): since for name, since in connection.execute(query)}


def _pause(connection: Connection, name: str) -> bool:
    connection.execute(insert_into(connection, queues).values(name=name).on_conflict_do_nothing())
    # An update of its own, because PostgreSQL's driver does not count what an insert has changed.
    on = (queues.c.name == name) & queues.c.paused_at.is_(None)
    return connection.execute(update(queues).where(on).values(paused_at=db_now())).rowcount == 1


def _resume(connection: Connection, name: str) -> bool:
    paused = (queues.c.name == name) & queues.c.paused_at.is_not(None)
    return connection.execute(update(queues).where(paused).values(paused_at=None)).rowcount == 1


def _counts(connection: Connection, global_limits: Mapping[str, int]) -> dict[str, QueueCounts]:
    by_state = select(jobs.c.queue_name, jobs.c.state, func.count()).group_by(jobs.c.queue_name, jobs.c.state)
    states: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for name, state, count in connection.execute(by_state):
        states[name][state] = count
    paused = paused_since(connection)
    workers = census.alive(connection)
    limits = {
        name: [worker.queues[name] for worker in workers if name in worker.queues]
        for name in sorted({*states, *paused, *(name for worker in workers for name in worker.queues)})
    }
    return {
        name: QueueCounts(
            name=name,
            states=states.get(name, {}),
            paused_at=paused.get(name),
            workers=len(own),
            worker_limits=own,
            limit=sum(own),
            global_limit=global_limits.get(name),
        )
        for name, own in limits.items()
    }


def _checked(name: str) -> str:
    if not QUEUE_NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        raise ConfigError(
            f"queue name {name!r} may hold up to {LONGEST_NAME} letters, digits, '_' and '-', "
            "and begins with a letter"
        )
    return name


def _tell(news: str) -> None:
    try:
        runtime().wire().tell(news)
    except BrokerUnavailable as error:
        logger.warning(
            "%s is stored; workers see it within %g s, Redis cannot tell them: %s", news, LOOK_EVERY, error
        )
