"""`Accounts`: what this process uses under each budget, added to the rows every few seconds."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

import anyio

from jobs import spending
from jobs.database import Database
from jobs.errors import StorageError
from jobs.spending import Key, Spent

logger = logging.getLogger("jobs")

#: Seconds between two batches: how long what others use is not seen here.
INTERVAL = 2.0
#: Seconds between two tries to read while the database is away.
AGAIN = 0.5
_NOTHING = Spent()


class Accounts:
    """One for each worker process. What is spent counts here at once, elsewhere with the next batch."""

    def __init__(
        self,
        database: Database,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        """Prepare.

        Args:
            database: Where the rows are.
            clock: Seconds, for what has passed since the database told its time.
            now: The time of day in UTC; None goes by the database's.
        """
        self._database = database
        self._clock = clock
        self._told_now = now
        #: The database's time, and this clock's when it said so.
        self._told: tuple[datetime, float] | None = None
        # Runs of plain functions spend in the thread of `aquila.sync`.
        self._lock = threading.Lock()
        self._stored: dict[Key, Spent] = {}
        self._sending: dict[Key, Spent] = {}
        self._unsent: dict[Key, Spent] = {}
        self._watched: Counter[Key] = Counter()
        self._writing = anyio.Lock()

    def now(self) -> datetime:
        """Give the time of day on the database's clock; `tell_time` comes before.

        Raises:
            RuntimeError: It did not.
        """
        if self._told_now is not None:
            return self._told_now()
        if self._told is None:
            raise RuntimeError("the database was not asked for its time; call tell_time first")
        moment, told_at = self._told
        return moment + timedelta(seconds=self._clock() - told_at)

    async def tell_time(self) -> None:
        """Ask the database for its time if it has not said it; waits while it is away."""
        while self._told is None and self._told_now is None:
            self._told = (await self._read([]))[0], self._clock()

    async def watch(self, keys: Iterable[Key]) -> None:
        """Read what was used under keys, and keep that up to date until `leave`; waits while the database is away."""
        wanted = list(keys)
        with self._lock:
            self._watched.update(wanted)
            unknown = [key for key in wanted if key not in self._stored]
        if unknown:
            _, found = await self._read(unknown)
            with self._lock:
                for key in unknown:
                    # A batch that was sent meanwhile knows better.
                    self._stored.setdefault(key, found.get(key, _NOTHING))

    def leave(self, keys: Iterable[Key]) -> None:
        """Stop watching keys; what was spent under them is still stored."""
        with self._lock:
            self._watched.subtract(keys)
            self._watched = +self._watched
            self._forget()

    def spend(self, keys: Iterable[Key], tokens: int, cost: float) -> None:
        """Count tokens and money under each of the keys, in any thread."""
        more = Spent(tokens, cost)
        with self._lock:
            for key in keys:
                self._unsent[key] = self._unsent.get(key, _NOTHING).plus(more)

    def used(self, key: Key) -> Spent:
        """Give what all processes have used under a key, as far as it is known here."""
        with self._lock:
            total = self._stored.get(key, _NOTHING)
            for part in (self._sending, self._unsent):
                if key in part:
                    total = total.plus(part[key])
            return total

    async def run(self) -> None:
        """Store and read back until cancelled."""
        while True:
            await anyio.sleep(INTERVAL)
            await self.flush()

    async def flush(self) -> bool:
        """Store what was spent and read back what others spent; False if the database is away, and it is kept."""
        async with self._writing:
            with self._lock:
                self._sending, self._unsent = self._unsent, {}
                sending, watched = dict(self._sending), set(self._watched)
            if not sending and not watched:
                return True
            try:
                moment, found = await self._database.awrite(spending.add, sending, watched)
            except StorageError as error:
                logger.warning("what was spent waits to be stored: %s", error)
                self._take_back()
                return False
            except BaseException:
                self._take_back()
                raise
            with self._lock:
                self._sending = {}
                self._stored.update({key: found.get(key, _NOTHING) for key in {*sending, *watched}})
                self._forget()
            self._told = moment, self._clock()
            return True

    def _take_back(self) -> None:
        with self._lock:
            for key, spent in self._sending.items():
                self._unsent[key] = self._unsent.get(key, _NOTHING).plus(spent)
            self._sending = {}

    def _forget(self) -> None:
        live = self._watched.keys() | self._unsent.keys() | self._sending.keys()
        self._stored = {key: spent for key, spent in self._stored.items() if key in live}

    async def _read(self, keys: list[Key]) -> tuple[datetime, dict[Key, Spent]]:
        while True:
            try:
                return await self._database.aread(spending.read, keys)
            except StorageError as error:
                # The attempt's lease ends before this does if the database stays away.
                logger.warning("budgets wait to be read: %s", error)
            await anyio.sleep(AGAIN)
