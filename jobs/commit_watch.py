"""Notices the end of a host's transaction, without a listener on its sessions or connections."""

from __future__ import annotations

import logging
import queue
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from sqlalchemy import Transaction

T = TypeVar("T")

logger = logging.getLogger("jobs")

#: Seconds between two looks at transactions that somebody still holds a reference to.
LOOK_EVERY = 0.02
#: Seconds that the thread stays when there is nothing to do, and between two looks whether the process ends.
LINGER = 5.0
NOTICE = 0.1


class _Watched(weakref.ref[Transaction], Generic[T]):
    """A transaction, and what is to be told when it is over."""

    __slots__ = ("values",)

    values: Sequence[T]


class CommitWatch(Generic[T]):
    """One thread, there while a transaction with something to tell is open and a few seconds longer.

    SQLAlchemy drops a transaction's object once it is committed or rolled back, and the end of the last reference to it is
    the sign. Which of the two it was is not known: what the values stand for is in the database, or it is not. Nothing is
    told of a transaction that ends with the process. A process that was forked makes a watch of its own.
    """

    def __init__(self, handle: Callable[[list[T]], None], *, name: str) -> None:
        """Prepare the watch; no thread is started yet.

        Args:
            handle: Told the values of transactions that are over, in the order in which they were given; called in the
                thread, one call at a time. What it raises is logged.
            name: The thread's.
        """
        self._handle = handle
        self._name = name
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closing = False
        #: Transactions that are not known to be over, each under the id of its reference.
        self._open: dict[int, _Watched[T]] = {}
        #: References that have ended; None only wakes the thread. A collector may put something in at any moment, which
        #: this kind of queue allows.
        self._ended: queue.SimpleQueue[_Watched[T] | None] = queue.SimpleQueue()

    def watch(self, transaction: Transaction, values: Sequence[T]) -> None:
        """Tell the values when a transaction is over.

        Args:
            transaction: The outermost one of the host's connection.
            values: What is to be told.
        """
        watched: _Watched[T] = _Watched(transaction, self._ended.put)
        watched.values = values
        with self._lock:
            idle = not self._open
            self._open[id(watched)] = watched
            if self._thread is None or not self._thread.is_alive():
                self._start()
            elif idle:
                self._ended.put(None)

    @property
    def is_idle(self) -> bool:
        """Whether no transaction is watched."""
        return not self._open

    def close(self) -> None:
        """Tell what is over, and end the thread. The values of open transactions are dropped."""
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
        thread = threading.Thread(target=self._run, name=self._name)
        try:
            thread.start()
        except RuntimeError as error:
            # No more threads are to be had, or the process ends.
            logger.warning("%s: what hosts commit is left to the workers: %s", self._name, error)
            self._open.clear()
        else:
            self._thread = thread

    def _run(self) -> None:
        idle_since = time.monotonic()
        while True:
            # Asked before the last look, so that what was committed until then is told.
            ending = self._is_ending()
            if values := self._wait(0.0 if ending else LOOK_EVERY if self._open else NOTICE):
                self._tell(values)
                idle_since = time.monotonic()
            elif self._leaves(ending=ending, idle=time.monotonic() - idle_since):
                return

    def _is_ending(self) -> bool:
        # Python waits for this thread before it ends, whatever is open.
        return self._closing or not threading.main_thread().is_alive()

    def _wait(self, seconds: float) -> list[T]:
        """Wait for transactions to be over; give their values."""
        ended = self._arrived(seconds)
        with self._lock:
            watched = list(self._open.values())
        over = {id(one) for one in ended} | {id(one) for one in watched if _is_over(one)}
        with self._lock:
            told = [self._open.pop(key) for key in list(self._open) if key in over]
        return [value for one in told for value in one.values]

    def _arrived(self, seconds: float) -> list[_Watched[T]]:
        try:
            arrived = [self._ended.get(timeout=seconds)]
        except queue.Empty:
            return []
        arrived += [self._ended.get_nowait() for _ in range(self._ended.qsize())]
        return [one for one in arrived if one is not None]

    def _tell(self, values: list[T]) -> None:
        try:
            self._handle(values)
        except Exception:
            # The thread goes on: other transactions end as well.
            logger.exception("%s: what a host has committed was not seen to", self._name)

    def _leaves(self, *, ending: bool, idle: float) -> bool:
        with self._lock:
            leaves = ending or (not self._open and idle > LINGER)
            if leaves:
                # Whoever watches something from here on starts another.
                self._thread = None
            return leaves


def _is_over(watched: _Watched[T]) -> bool:
    transaction = watched()
    return transaction is None or not transaction.is_active
