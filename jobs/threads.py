"""Threads: a few for the runner's own calls that block, and some for plain functions.

A thread cannot be cancelled, so it is known how many plain functions go on after their attempts. The process does not end
before they do, unless it is made to.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

import anyio
from anyio import to_thread
from anyio.lowlevel import RunVar

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

#: Threads of one event loop that wait for the database, and for Redis; the actors' own threads are no part of them. Apart,
#: because leases must be renewed while Redis hangs.
DATABASE_THREADS, REDIS_THREADS = 6, 6
_FOR_DATABASE: RunVar[anyio.CapacityLimiter] = RunVar("aquila_database_threads")
_FOR_REDIS: RunVar[anyio.CapacityLimiter] = RunVar("aquila_redis_threads")


def database_threads() -> anyio.CapacityLimiter:
    """Give the running loop's threads for the database."""
    return _limiter(_FOR_DATABASE, DATABASE_THREADS)


def redis_threads() -> anyio.CapacityLimiter:
    """Give the running loop's threads for Redis."""
    return _limiter(_FOR_REDIS, REDIS_THREADS)


async def in_thread(
    function: Callable[[*Ts], T], *args: *Ts, limiter: Callable[[], anyio.CapacityLimiter] | None = None
) -> T:
    """Run a call that blocks on the database, or with another `limiter` on something else. Cancelling waits for it."""
    return await to_thread.run_sync(function, *args, limiter=(limiter or database_threads)())


async def on_redis(function: Callable[[*Ts], T], *args: *Ts) -> T:
    """Run a call that blocks on Redis. Cancelling waits for it."""
    return await in_thread(function, *args, limiter=redis_threads)


async def run_abandonable(function: Callable[[], T]) -> T:
    """Run a function in a thread of its own; when this call is cancelled, the thread goes on, and `left_behind` counts it.

    Args:
        function: What to run. How many run at once is decided by who calls.
    """
    # It may be left before it has begun, and then begin all the same or never. Both sides look under the lock.
    runs = left = False

    def counted() -> T:
        nonlocal runs
        with _LEFT.lock:
            runs = True
            _LEFT.count += left
        try:
            return function()
        finally:
            with _LEFT.lock:
                runs = False
                _LEFT.count -= left

    try:
        return await to_thread.run_sync(counted, abandon_on_cancel=True, limiter=anyio.CapacityLimiter(1))
    except anyio.get_cancelled_exc_class():
        with _LEFT.lock:
            left = True
            _LEFT.count += runs
        raise


def left_behind() -> int:
    """Say how many functions of this process go on in threads of `run_abandonable` that nobody waits for any more."""
    return _LEFT.count


class _LeftBehind:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.count = 0


_LEFT = _LeftBehind()


def _limiter(kept: RunVar[anyio.CapacityLimiter], threads: int) -> anyio.CapacityLimiter:
    limiter = kept.get(None)
    if limiter is None:
        limiter = anyio.CapacityLimiter(threads)
        kept.set(limiter)
    return limiter


class Threads:
    """A bounded number of threads, each of which may be left behind."""

    def __init__(self, limit: int) -> None:
        self._limiter = anyio.CapacityLimiter(limit)
        self._lock = threading.Lock()
        self._busy = 0

    @property
    def busy(self) -> int:
        """How many functions run, those left behind included."""
        return self._busy

    async def run(self, function: Callable[[], T]) -> T:
        """Run a function in a thread; when this call is cancelled, the thread goes on without it."""
        return await self._run(function, self._limiter)

    async def run_beside(self, function: Callable[[], T]) -> T:
        """Do so for a function that another one waits for, which holds a thread already: it takes none of the limit."""
        return await self._run(function, anyio.CapacityLimiter(1))

    async def _run(self, function: Callable[[], T], limiter: anyio.CapacityLimiter) -> T:
        def counted() -> T:
            with self._lock:
                self._busy += 1
            try:
                return function()
            finally:
                with self._lock:
                    self._busy -= 1

        return await to_thread.run_sync(counted, limiter=limiter, abandon_on_cancel=True)
