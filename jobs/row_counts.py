"""`RowCounts`: the jobs in the rows by queue and state, counted so seldom that nobody feels it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from jobs.database import Database
from jobs.sqltypes import db_now
from jobs.tables import jobs

#: Seconds for which a count is good.
GOOD_FOR = 10.0
#: The part of the time that may be spent on counting: millions of rows are counted seldom.
SHARE = 0.01


@dataclass(frozen=True, slots=True)
class Counted:
    """What one count gave."""

    #: Jobs by queue and state; none where there are none.
    states: Mapping[tuple[str, str], int]
    #: Seconds for which the job that waits longest has been due, by queue.
    oldest: Mapping[str, float]


class RowCounts:
    """Counts when it is asked, and gives the last count while it is good. Any thread may ask."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._lock = threading.Lock()
        self._last: Counted | None = None
        self._good_until = float("-inf")

    def get(self) -> Counted:
        """Give the jobs by queue and state.

        Raises:
            StorageError: The database failed; it is asked again at the earliest when a count would have aged.
            ConfigError: The tables are missing.
        """
        with self._lock:
            began = self._clock()
            if self._last is None or began >= self._good_until:
                self._last = self._database.read(count_rows)
                self._good_until = self._clock() + max(GOOD_FOR, (self._clock() - began) / SHARE)
            return self._last


def count_rows(connection: Connection) -> Counted:
    """Count the jobs once."""
    by_state = select(jobs.c.queue_name, jobs.c.state, func.count()).group_by(jobs.c.queue_name, jobs.c.state)
    states = {(str(queue), str(state)): int(count) for queue, state, count in connection.execute(by_state)}
    now: datetime = connection.execute(select(db_now())).scalar_one()
    longest = (
        select(jobs.c.queue_name, func.min(jobs.c.scheduled_at))
        .where(jobs.c.state == "available")
        .group_by(jobs.c.queue_name)
    )
    oldest = {str(queue): max(0.0, (now - due).total_seconds()) for queue, due in connection.execute(longest)}
    return Counted(states, oldest)
