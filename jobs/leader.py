"""Who does what one worker does for all: a lease in a row, on the database's clock.

For a moment there may be two leaders, when one was paused for longer than its lease or the database's clock was set. What a
leader does must therefore be harmless if done twice.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

import anyio
from sqlalchemy import Connection, delete, select, update

from aquila.errors import ConfigError
from jobs.database import Database
from jobs.errors import StorageError
from jobs.sqltypes import db_now, insert_into
from jobs.tables import leaders

logger = logging.getLogger("jobs")

#: The part of a lease that is over when its holder renews it.
RENEW_PART = 1 / 3
#: Names in one `IN (...)`.
_IN_ONE_READ = 500


@dataclass(frozen=True, slots=True)
class Led:
    """What a worker leads, and the database's time when that was read."""

    names: frozenset[str]
    now: datetime


class Leadership:
    """One worker's part in leading: it takes what is free, keeps what it has, and gives it up at the end."""

    def __init__(self, database: Database, worker_id: str, lease: float) -> None:
        self._database = database
        self._worker_id = worker_id
        self._lease = lease

    async def lead(self, names: Collection[str]) -> Led:
        """Take or renew whatever of `names` is to be had, and say what this worker leads now.

        Call it at least three times within a lease. A worker that leads nothing only reads.

        Raises:
            StorageError: The database failed.
        """
        led, to_be_had, now = await self._database.aread(_look, names, self._worker_id, self._lease)
        for name in sorted(to_be_had):
            if await self._database.awrite(take, name, self._worker_id, self._lease):
                led.add(name)
            else:
                led.discard(name)
        return Led(frozenset(led), now)

    async def resign(self, names: Collection[str]) -> None:
        """Give up what this worker leads, so that another need not wait; if the database is away, the lease runs out."""
        with anyio.CancelScope(shield=True):
            try:
                await self._database.awrite(_resign_all, names, self._worker_id)
            except (StorageError, ConfigError) as error:
                logger.warning("another worker leads when the lease is over: %s", error)


def take(connection: Connection, name: str, worker_id: str, lease: float) -> bool:
    """Lead, or go on leading, for `lease` seconds; False while another worker does.

    Args:
        connection: A transaction that writes.
        name: What is led.
        worker_id: Who wants to.
        lease: Seconds until another may, unless it is taken again.
    """
    row = insert_into(connection, leaders).values(name=name, worker_id=worker_id, until=db_now(lease))
    # In one statement, so that of two who want it at once one is told no.
    taken = connection.execute(
        row.on_conflict_do_update(
            index_elements=[leaders.c.name],
            set_={"worker_id": worker_id, "until": db_now(lease)},
            where=(leaders.c.worker_id == worker_id) | (leaders.c.until < db_now()),
        ).returning(leaders.c.name)
    )
    return taken.first() is not None


def resign(connection: Connection, name: str, worker_id: str) -> bool:
    """Let another lead at once; False if another did already."""
    mine = (leaders.c.name == name) & (leaders.c.worker_id == worker_id) & (leaders.c.until > db_now())
    # The row stays: removed, it would have to be made again by the next.
    return connection.execute(update(leaders).where(mine).values(until=db_now(-1))).rowcount == 1


def forget_leaders(connection: Connection, older_than: float) -> int:
    """Remove what nobody has led for some seconds; give how many."""
    return connection.execute(delete(leaders).where(leaders.c.until < db_now(-older_than))).rowcount


def _look(
    connection: Connection, names: Collection[str], worker_id: str, lease: float
) -> tuple[set[str], set[str], datetime]:
    now: datetime = connection.execute(select(db_now())).scalar_one()
    led: set[str] = set()
    to_be_had = set(names)
    wanted = sorted(to_be_had)
    for start in range(0, len(wanted), _IN_ONE_READ):
        query = select(leaders).where(leaders.c.name.in_(wanted[start : start + _IN_ONE_READ]))
        for row in connection.execute(query):
            mine = row.worker_id == worker_id
            if mine and row.until >= now:
                led.add(row.name)
            soon = now + timedelta(seconds=lease * (1 - RENEW_PART)) if mine else now
            if row.until >= soon:
                to_be_had.discard(row.name)
    return led, to_be_had, now


def _resign_all(connection: Connection, names: Collection[str], worker_id: str) -> None:
    for name in names:
        resign(connection, name, worker_id)
