"""Threads for plain functions. One cannot be cancelled, so it is known how many go on after their attempts."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

import anyio
from anyio import to_thread

T = TypeVar("T")


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
