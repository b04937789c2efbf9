"""Threads: a few for the runner's own calls that block, and some for plain functions.

A thread cannot be cancelled, so it is known how many plain functions go on after their attempts.
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

#: Threads of one event loop that wait for the database or for Redis; the actors' own threads are no part of them.
OWN_THREADS = 8
_LIMITER: RunVar[anyio.CapacityLimiter] = RunVar("aquila_own_threads")


async def in_thread(function: Callable[[*Ts], T], *args: *Ts) -> T:
    """Run a call that blocks on the database or on Redis. Cancelling waits for it."""
    limiter = _LIMITER.get(None)
    if limiter is None:
        limiter = anyio.CapacityLimiter(OWN_THREADS)
        _LIMITER.set(limiter)
    return await to_thread.run_sync(function, *args, limiter=limiter)


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

        def counted() -> T:
            with self._lock:
                self._busy += 1
            try:
                return function()
            finally:
                with self._lock:
                    self._busy -= 1

        return await to_thread.run_sync(counted, limiter=self._limiter, abandon_on_cancel=True)
