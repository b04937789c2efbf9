"""`find`: jobs by what is known of them, the newest first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sqlalchemy import ColumnElement, Connection, exists, func, select

from aquila.errors import ConfigError
from jobs import rows
from jobs.broker import runtime
from jobs.rows import Job
from jobs.sqltypes import storable
from jobs.tables import STATES, jobs
from jobs.threads import in_thread


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which jobs are meant. What is None is not looked at."""

    state: str | None = None
    queue_name: str | None = None
    actor_name: str | None = None
    tag: str | None = None
    #: Added then or later.
    since: datetime | None = None

    def __post_init__(self) -> None:
        if self.state is not None and self.state not in STATES:
            raise ConfigError(f"no state {self.state!r}; the states are {', '.join(STATES)}")
        if self.since is not None and not (isinstance(self.since, datetime) and self.since.tzinfo):
            raise ConfigError(f"since={self.since!r} must be an aware datetime")

    def conditions(self, dialect: str) -> Iterator[ColumnElement[bool]]:
        """Put it as a database understands it.

        Args:
            dialect: Which database.

        Yields:
            Conditions that their rows all meet.
        """
        if self.state is not None:
            yield jobs.c.state == self.state
        if self.queue_name is not None:
            yield jobs.c.queue_name == storable(self.queue_name)
        if self.actor_name is not None:
            yield jobs.c.actor_name == storable(self.actor_name)
        if self.since is not None:
            yield jobs.c.created_at >= self.since
        if self.tag is not None:
            unpack = func.json_array_elements_text if dialect == "postgresql" else func.json_each
            listed = unpack(jobs.c.tags).table_valued("value")
            yield exists(select(listed.c.value).where(listed.c.value == storable(self.tag)))


def find(
    *,
    state: str | None = None,
    queue_name: str | None = None,
    actor_name: str | None = None,
    tag: str | None = None,
    since: datetime | None = None,
    limit: int = 100,
) -> list[Job]:
    """Read the jobs that meet all that is said, those added last first.

    Args:
        state: Only those in this state.
        queue_name: Only those of this queue.
        actor_name: Only those of this actor.
        tag: Only those that were sent with this tag.
        since: Only those added then or later, an aware datetime.
        limit: How many at most.

    Raises:
        ConfigError: A value cannot be used, or the jobs cannot be used as configured.
        StorageError: The database failed.
    """
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise ConfigError(f"limit={limit!r} must be at least 1")
    wanted = Wanted(state=state, queue_name=queue_name, actor_name=actor_name, tag=tag, since=since)
    return runtime().database().read(_latest, wanted, limit)


async def afind(
    *,
    state: str | None = None,
    queue_name: str | None = None,
    actor_name: str | None = None,
    tag: str | None = None,
    since: datetime | None = None,
    limit: int = 100,
) -> list[Job]:
    """Do as `find` does, without blocking the loop.

    Raises:
        ConfigError: A value cannot be used, or the jobs cannot be used as configured.
        StorageError: The database failed.
    """
    names = {"state": state, "queue_name": queue_name, "actor_name": actor_name, "tag": tag}
    return await in_thread(partial(find, since=since, limit=limit, **names))


def _latest(connection: Connection, wanted: Wanted, limit: int) -> list[Job]:
    return rows.latest(connection, *wanted.conditions(connection.dialect.name), limit=limit)
