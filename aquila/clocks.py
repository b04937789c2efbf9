"""The clocks of one run, on one timer.

A timer for each chunk would cost more than decoding it, so there is one timer for the whole run: each wait only stores
its deadline, and the timer, when it rings too early, is set again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

import anyio

from aquila import errors
from aquila.errors import TimeoutExceeded
from aquila.timeouts import Timeouts

T = TypeVar("T")

_SAY = {
    "silence": "no byte came for {seconds:g} s",
    "first_chunk": "no content came within {seconds:g} s, though the connection stood",
    "idle": "no further content came for {seconds:g} s, though the connection stood",
    "total": "the run took longer than {seconds:g} s in all",
}
_ERRORS: dict[str, type[TimeoutExceeded]] = {
    "silence": errors.SilenceTimeout,
    "first_chunk": errors.FirstChunkTimeout,
    "idle": errors.IdleTimeout,
    "total": errors.TotalTimeout,
}


class Clocks:
    """Bounds every wait of one run; used by the task that reads it, inside a running event loop.

    Only time spent inside `wait_source` counts against `silence`, `first_chunk` and `idle`; `total` is wall time.
    """

    def __init__(self, timeouts: Timeouts) -> None:
        self._timeouts = timeouts
        self._loop = asyncio.get_running_loop()
        self._started = self._loop.time()
        self._content_seen = False
        #: Seconds waited on the source since the last content, or since the request was sent.
        self._waited = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[object] | None = None
        self._deadline = 0.0
        self._clock = ""
        #: What the timer, or `interrupt`, ends the present wait with.
        self._interruption: Exception | None = None
        #: Seconds from the start of the run to its first content.
        self.time_to_first_chunk: float | None = None

    def elapsed(self) -> float:
        """Give the seconds since the run's start."""
        return self._loop.time() - self._started

    def check_total(self) -> None:
        """Look at the run's own deadline, which may have passed while the reader was busy.

        Raises:
            TotalTimeout: It has.
        """
        total = self._timeouts.total
        if total is not None and self.elapsed() >= total:
            self._clock = "total"
            raise self._error()

    def leaves(self, seconds: float) -> bool:
        """Say whether the run's own deadline leaves that many seconds."""
        total = self._timeouts.total
        return total is None or self.elapsed() + seconds < total

    def new_request(self) -> None:
        """Set the content clocks back: the request is sent (again)."""
        self._content_seen = False
        self._waited = 0.0

    def content(self) -> None:
        """Note that content has come."""
        self._waited = 0.0
        if not self._content_seen:
            self._content_seen = True
            self.time_to_first_chunk = self.elapsed()

    async def wait_source(self, source: Awaitable[T]) -> T:
        """Wait for the source under all clocks.

        Raises:
            TimeoutExceeded: The clock that ran out first, as its own class.
        """
        before = self._loop.time()
        try:
            return await self._wait(source, *self._next_deadline(before))
        finally:
            self._waited += self._loop.time() - before

    async def wait_total(self, other: Awaitable[T]) -> T:
        """Wait for something that is not the source (a sink, a back-off) under `total` alone.

        Raises:
            TotalTimeout: The run as a whole took too long.
        """
        if self._timeouts.total is None:
            return await other
        return await self._wait(other, self._started + self._timeouts.total, "total")

    async def pause(self, seconds: float) -> None:
        """Sleep under `total`, and let `interrupt` end the sleep.

        Raises:
            TotalTimeout: The run as a whole took too long.
        """
        total = self._timeouts.total
        deadline = float("inf") if total is None else self._started + total
        await self._wait(anyio.sleep(seconds), deadline, "total")

    def interrupt(self, error: Exception) -> None:
        """End the wait that another task is in, if it is in one, with an error."""
        if self._task is not None:
            self._interruption = error
            self._task.cancel()

    def close(self) -> None:
        """Put the timer away."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _next_deadline(self, now: float) -> tuple[float, str]:
        limits = self._timeouts
        deadline, clock = float("inf"), ""
        if limits.silence is not None:
            deadline, clock = now + limits.silence, "silence"
        content, name = (limits.idle, "idle") if self._content_seen else (limits.first_chunk, "first_chunk")
        if content is not None and now + content - self._waited < deadline:
            deadline, clock = now + content - self._waited, name
        if limits.total is not None and self._started + limits.total < deadline:
            deadline, clock = self._started + limits.total, "total"
        return deadline, clock

    async def _wait(self, awaitable: Awaitable[T], deadline: float, clock: str) -> T:
        task = asyncio.current_task()
        if task is None:
            return await awaitable
        self._deadline, self._clock, self._interruption, self._task = deadline, clock, None, task
        if deadline < float("inf"):
            self._set_timer()
        cancelling = task.cancelling()
        try:
            return await awaitable
        except asyncio.CancelledError:
            # Our own cancel ends here; anybody else's goes on.
            interruption, self._interruption = self._interruption, None
            if interruption is not None and task.uncancel() <= cancelling:
                raise interruption from None
            raise
        finally:
            self._task = None
            if self._interruption is not None:
                # Somebody below swallowed the cancel; it must not be counted against the caller's own scopes.
                self._interruption = None
                task.uncancel()

    def _set_timer(self) -> None:
        if self._timer is not None:
            if self._timer.when() <= self._deadline:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(self._deadline, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._task is None:
            return
        if self._loop.time() < self._deadline:
            self._set_timer()
            return
        self._interruption = self._error()
        self._task.cancel()

    def _error(self) -> TimeoutExceeded:
        seconds = getattr(self._timeouts, self._clock)
        return _ERRORS[self._clock](
            _SAY[self._clock].format(seconds=seconds)
            + f"; raise the {self._clock} timeout if that is too short",
            seconds=seconds,
        )
