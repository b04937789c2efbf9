"""The postman: hands jobs over as soon as the transaction of a host's that added them is over.

The host's commit only drops its transaction, which wakes a thread of this process. The thread looks the jobs up in their
database: those that are there were committed, the others were rolled back. What it misses, because the process was killed
or Redis is away, the workers' relay hands over.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
import weakref
from collections.abc import Callable, Sequence

from sqlalchemy import Transaction

from aquila.errors import AquilaError
from jobs.database import Database
from jobs.relay import relay_added
from jobs.wire import Wire

logger = logging.getLogger("jobs")

#: Seconds between two looks at transactions that somebody still holds a reference to.
LOOK_EVERY = 0.02
#: Seconds that the thread stays when there is nothing to do, and between two looks whether the process ends.
LINGER = 5.0
NOTICE = 0.1


class _Watched(weakref.ref[Transaction]):
    """A transaction, and the jobs that were added in it."""

    __slots__ = ("job_ids",)

    job_ids: Sequence[str]


class Postman:
    """One thread, there while a transaction that added jobs is open and a few seconds longer.

    No listener is put on the host's sessions or connections. SQLAlchemy drops a transaction's object once it is committed
    or rolled back, and the end of the last reference to it is the sign.
    """

    def __init__(self, database: Callable[[], Database], wire: Callable[[], Wire]) -> None:
        """Prepare the postman; no thread is started yet.

        Args:
            database: Gives where the jobs are.
            wire: Gives where they go; may take long the first time.
        """
        self._database = database
        self._wire = wire
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closing = False
        #: Transactions that are not known to be over, each under the id of its reference.
        self._open: dict[int, _Watched] = {}
        #: References that have ended; None only wakes the thread. A collector may put something in at any moment, which
        #: this kind of queue allows.
        self._ended: queue.SimpleQueue[_Watched | None] = queue.SimpleQueue()

    def watch(self, transaction: Transaction, job_ids: Sequence[str]) -> None:
        """Hand jobs over when a transaction is over, if it has added them by then.

        Args:
            transaction: The outermost one of the host's connection.
            job_ids: The jobs, which are due now.
        """
        watched = _Watched(transaction, self._ended.put)
        watched.job_ids = job_ids
        with self._lock:
            idle = not self._open
            self._open[id(watched)] = watched
            if self._thread is None or not self._thread.is_alive():
                self._start()
            elif idle:
                self._ended.put(None)

    def close(self) -> None:
        """Hand over what was committed, and end the thread. Jobs of open transactions are left to the workers."""
        with self._lock:
            thread = self._thread
            self._closing = True
        if thread is not None and thread.is_alive():
            self._ended.put(None)
            thread.join()
        with self._lock:
            self._closing = False
            self._open.clear()

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name="aquila-postman")
        try:
            thread.start()
        except RuntimeError as error:
            # No more threads are to be had, or the process ends.
            logger.warning("jobs will be handed over by a worker: %s", error)
            self._open.clear()
        else:
            self._thread = thread

    def _run(self) -> None:
        idle_since = time.monotonic()
        while True:
            # Asked before the last look, so that what was committed until then is handed over.
            ending = self._is_ending()
            if job_ids := self._wait(0.0 if ending else LOOK_EVERY if self._open else NOTICE):
                self._hand_over(job_ids)
                idle_since = time.monotonic()
            elif self._leaves(ending=ending, idle=time.monotonic() - idle_since):
                return

    def _is_ending(self) -> bool:
        # Python waits for this thread before it ends, whatever is open.
        return self._closing or not threading.main_thread().is_alive()

    def _wait(self, seconds: float) -> list[str]:
        """Wait for transactions to be over; give their jobs."""
        ended = self._arrived(seconds)
        with self._lock:
            watched = list(self._open.values())
        ended += [one for one in watched if _is_over(one)]
        with self._lock:
            over = [self._open.pop(key) for key in {id(one) for one in ended} if key in self._open]
        return [job_id for one in over for job_id in one.job_ids]

    def _arrived(self, seconds: float) -> list[_Watched]:
        try:
            arrived = [self._ended.get(timeout=seconds)]
        except queue.Empty:
            return []
        arrived += [self._ended.get_nowait() for _ in range(self._ended.qsize())]
        return [one for one in arrived if one is not None]

    def _leaves(self, *, ending: bool, idle: float) -> bool:
        with self._lock:
            leaves = ending or (not self._open and idle > LINGER)
            if leaves:
                # Whoever adds a job from here on starts another.
                self._thread = None
            return leaves

    def _hand_over(self, job_ids: Sequence[str]) -> None:
        try:
            relay_added(self._database(), self._wire, job_ids)
        except AquilaError as error:
            logger.warning("%d jobs: kept, and will be handed over by a worker: %s", len(job_ids), error)


def _is_over(watched: _Watched) -> bool:
    transaction = watched()
    return transaction is None or not transaction.is_active
