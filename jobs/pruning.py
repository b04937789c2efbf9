"""Removes what nobody will ask for any more: old rows, and what belongs to them. A few rows at a time."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import anyio
from sqlalchemy import ColumnElement, Connection, delete, func, select

from jobs.census import FORGET_AFTER
from jobs.database import Database
from jobs.leader import forget_leaders
from jobs.sqltypes import db_now
from jobs.tables import State, jobs, spending, steps, workers
from jobs.threads import in_thread
from jobs.unique import prune_keys

#: Rows removed in one transaction, and seconds in which others may write before the next.
BATCH = 500
PAUSE = 0.05
#: Seconds that a tag's spending is kept after its day or month, so that last month's can be looked up.
KEEP_SPENDING = 62 * 86_400.0
#: Seconds after which a leader's row is removed that nobody renewed.
KEEP_LEADERS = 86_400.0
#: Not further back than the databases count.
_CENTURY = 100 * 365.25 * 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """How many rows were removed, or would be."""

    completed: int = 0
    cancelled: int = 0
    discarded: int = 0
    #: Results of steps, of the jobs above.
    steps: int = 0
    #: Unique keys that no job has any more.
    unique_keys: int = 0
    #: Days and months of shared budgets.
    spending: int = 0
    #: Workers that died.
    workers: int = 0

    @property
    def jobs(self) -> int:
        """How many jobs in all."""
        return self.completed + self.cancelled + self.discarded

    def to_dict(self) -> dict[str, int]:
        """Give the numbers by their names."""
        return asdict(self)


@dataclass(slots=True)
class Pruning:
    """One round: `step` removes one batch in one transaction, so that whoever writes is never held for long."""

    database: Database
    #: Seconds that rows are kept after their end, by state.
    keep: dict[State, float]
    #: What was removed so far.
    removed: dict[str, int] = field(default_factory=dict)

    def step(self) -> bool:
        """Remove one batch; False when there is nothing left.

        Raises:
            StorageError: The database failed, and this batch is not removed.
        """
        for state, seconds in list(self.keep.items()):
            # Looked for in a read: most rounds find nothing, and need not hold writers for that.
            if self.database.read(_old_ids, state, seconds, 1):
                batch = self.database.write(_remove_jobs, state, seconds)
                self._count(batch)
                if batch[state]:
                    return True
            # What is left of them, if anything, is about to run again.
            del self.keep[state]
        self._count(self.database.write(_remove_rest))
        return False

    async def finish(self) -> None:
        """Remove everything, without blocking the loop. Cancelled, it stops after the batch.

        Raises:
            StorageError: The database failed; what was removed by then stays so.
        """
        more = True
        while more:
            more = await in_thread(self.step)
            if more:
                await anyio.sleep(PAUSE)

    def count(self) -> Pruned:
        """Count what would be removed, and remove nothing; unique keys are not counted.

        Raises:
            StorageError: The database failed.
        """
        return self.database.read(_count_all, self.keep)

    def _count(self, more: dict[str, int]) -> None:
        for name, number in more.items():
            self.removed[name] = self.removed.get(name, 0) + number

    def pruned(self) -> Pruned:
        """Give what was removed so far."""
        return Pruned(**self.removed)


def keep_by_state(completed: float, discarded: float) -> dict[State, float]:
    """Give the seconds that rows are kept after their end, by state."""
    return {"completed": completed, "cancelled": completed, "discarded": discarded}


def _old(state: State, seconds: float) -> ColumnElement[bool]:
    return (jobs.c.state == state) & (jobs.c.ended_at <= db_now(-min(seconds, _CENTURY)))


def _old_ids(
    connection: Connection, state: State, seconds: float, limit: int, *, locked: bool = False
) -> list[str]:
    query = select(jobs.c.id).where(_old(state, seconds)).order_by(jobs.c.ended_at).limit(limit)
    # A row that is about to run again is somebody else's.
    return list(connection.scalars(query.with_for_update(skip_locked=True) if locked else query))


def _remove_jobs(connection: Connection, state: State, seconds: float) -> dict[str, int]:
    ids = _old_ids(connection, state, seconds, BATCH, locked=True)
    done = connection.execute(delete(steps).where(steps.c.job_id.in_(ids))).rowcount
    gone = connection.execute(delete(jobs).where(jobs.c.id.in_(ids))).rowcount
    return {state: gone, "steps": done}


def _remove_rest(connection: Connection) -> dict[str, int]:
    forget_leaders(connection, KEEP_LEADERS)
    return {
        "unique_keys": prune_keys(connection),
        "spending": connection.execute(delete(spending).where(_past_spending(connection))).rowcount,
        "workers": connection.execute(delete(workers).where(_dead_workers())).rowcount,
    }


def _count_all(connection: Connection, keep: dict[State, float]) -> Pruned:
    def count(table: Any, where: ColumnElement[bool]) -> int:
        return connection.execute(select(func.count()).select_from(table).where(where)).scalar_one()

    numbers = {state: count(jobs, _old(state, seconds)) for state, seconds in keep.items()}
    old = [select(jobs.c.id).where(_old(state, seconds)) for state, seconds in keep.items()]
    return Pruned(
        **numbers,
        steps=sum(count(steps, steps.c.job_id.in_(ids)) for ids in old),
        spending=count(spending, _past_spending(connection)),
        workers=count(workers, _dead_workers()),
    )


def _past_spending(connection: Connection) -> ColumnElement[bool]:
    cut = connection.execute(select(db_now(-KEEP_SPENDING))).scalar_one()
    # A period is its date's beginning; what has none is for ever.
    days = (func.length(spending.c.period) == 10) & (spending.c.period < cut.strftime("%Y-%m-%d"))  # noqa: PLR2004
    months = (func.length(spending.c.period) == 7) & (spending.c.period < cut.strftime("%Y-%m"))  # noqa: PLR2004
    return days | months


def _dead_workers() -> ColumnElement[bool]:
    return workers.c.alive_until < db_now(-FORGET_AFTER)
