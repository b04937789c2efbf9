"""The clocks of one run, on one timer.

A timer for each chunk would cost more than decoding it, so there is one timer for the whole run: each wait only stores
its deadline, and the timer, when it rings too early, is set again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TypeVar

import anyio

from aquila import errors
from aquila.errors import TimeoutExceeded
from aquila.timeouts import Timeouts

T = TypeVar("T")

_NEVER = float("inf")

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


#: The clock of what is not worth waiting for; no time-out of the user's.
_BRIEFLY = "briefly"


class EnoughError(Exception):
    """A brief wait is over."""


class Clocks:
    """Bounds every wait of one run; used by the task that reads it, inside a running event loop.

    `with clocks: data = await source` bounds a wait on the source, without a coroutine of its own for each read. Only
    time spent there counts against `silence`, `first_chunk` and `idle`; `total` is wall time.
    """

    def __init__(self, timeouts: Timeouts) -> None:
        self._timeouts = timeouts
        self._loop = asyncio.get_running_loop()
        self._started = self._began = self._loop.time()
        self._content_seen = False
        #: Seconds waited on the source since the last content, or since the request was sent.
        self._waited = 0.0
        self._timer: asyncio.TimerHandle | None = None
        #: When the timer rings.
        self._rings = _NEVER
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._deadline = 0.0
        self._clock = ""
        #: What the timer, or `interrupt`, ends the present wait with.
        self._interruption: Exception | None = None
        #: Seconds from the start of the run to its first content.
        self.time_to_first_chunk: float | None = None

    def elapsed(self) -> float:
        """Give the seconds since the run's start."""
        return self._loop.time() - self._started

    def go_by(self, timeouts: Timeouts) -> None:
        """Bound what comes by other limits; the run's time goes on."""
        self._timeouts = timeouts

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
            if self.time_to_first_chunk is None:
                self.time_to_first_chunk = self.elapsed()

    def waited(self) -> None:
        """Note that the last wait on the source brought no content."""
        self._waited += self._loop.time() - self._began

    def __enter__(self) -> None:
        now = self._began = self._loop.time()
        limits = self._timeouts
        content, clock = (limits.idle, "idle") if self._content_seen else (limits.first_chunk, "first_chunk")
        deadline = _NEVER if content is None else now + content - self._waited
        if limits.silence is not None and now + limits.silence <= deadline:
            deadline, clock = now + limits.silence, "silence"
        if limits.total is not None and self._started + limits.total < deadline:
            deadline, clock = self._started + limits.total, "total"
            if deadline <= now:
                self._clock = clock
                raise self._error()
        self._begin(deadline, clock)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task, self._task = self._task, None
        interruption = self._interruption
        if interruption is None or task is None:
            return
        self._interruption = None
        # Our own cancel ends here, also when somebody below swallowed it; anybody else's goes on.
        if task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise interruption from None

    async def wait_source(self, source: Awaitable[T]) -> T:
        """Wait for the source under all clocks.

        Raises:
            TimeoutExceeded: The clock that ran out first, as its own class.
        """
        with self:
            result = await source
        self.waited()
        return result

    async def wait_total(self, other: Awaitable[T]) -> T:
        """Wait for something that is not the source (a sink, a tool, a back-off) under `total` alone.

        Raises:
            TotalTimeout: The run as a whole took too long.
        """
        total = self._timeouts.total
        return await self._wait(other, _NEVER if total is None else self._started + total, "total")

    async def wait_briefly(self, other: Awaitable[object], seconds: float) -> None:
        """Wait for something that may as well be left after some seconds."""
        try:
            await self._wait(other, self._loop.time() + seconds, _BRIEFLY)
        except EnoughError:
            return

    async def pause(self, seconds: float, sleep: Callable[[float], Awaitable[object]] = anyio.sleep) -> None:
        """Sleep under `total`, and let `interrupt` end the sleep.

        Args:
            seconds: How long.
            sleep: Does the sleeping; that of a replay may be shorter.

        Raises:
            TotalTimeout: The run as a whole took too long.
        """
        await self.wait_total(sleep(seconds))

    def interrupt(self, error: Exception) -> None:
        """End the wait that another task is in, if it is in one, with an error."""
        if self._task is not None:
            self._interruption = error
            self._task.cancel()

    def close(self) -> None:
        """Put the timer away."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer, self._rings = None, _NEVER

    async def _wait(self, other: Awaitable[T], deadline: float, clock: str) -> T:
        self._begin(deadline, clock)
        kind: type[BaseException] | None = None
        try:
            return await other
        except BaseException as error:
            kind = type(error)
            raise
        finally:
            self.__exit__(kind, None, None)

    def _begin(self, deadline: float, clock: str) -> None:
        self._deadline, self._clock, self._interruption = deadline, clock, None
        task = self._task = asyncio.current_task(self._loop)
        if task is not None:
            self._cancelling = task.cancelling()
        if deadline < self._rings:
            self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._rings = self._deadline
        self._timer = self._loop.call_at(self._deadline, self._ring)

    def _ring(self) -> None:
        self._timer, self._rings = None, _NEVER
        if self._task is None:
            return
        if self._loop.time() < self._deadline:
            if self._deadline < _NEVER:
                self._set_timer()
            return
        # The message tells a recorder below that this is no leaving of the reader's, but the failure it will see.
        self._interruption = error = self._error()
        self._task.cancel(error)

    def _error(self) -> Exception:
        if self._clock == _BRIEFLY:
            return EnoughError()
        seconds = getattr(self._timeouts, self._clock)
        return _ERRORS[self._clock](
            _SAY[self._clock].format(seconds=seconds)
            + f"; raise the {self._clock} timeout if that is too short",
            seconds=seconds,
        )
