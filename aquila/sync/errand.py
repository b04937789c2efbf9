"""One piece of asynchronous work, done in the portal for a thread that waits."""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

import anyio

from aquila.errors import AquilaError
from aquila.sync.portal import Portal, the_portal

T = TypeVar("T")

logger = logging.getLogger("aquila")

#: Seconds that whoever stops an errand waits for its end.
_STOP_SECONDS = 5.0


class Errand(Generic[T]):
    """Work in the portal; any thread may wait for it or stop it.

    Args:
        work: What to do. It sees the context variables of the thread that begins it.
        stopped: Gives the error to end with when the errand is stopped.
    """

    def __init__(
        self, work: Callable[[], Awaitable[T]], *, stopped: Callable[[], Awaitable[AquilaError]]
    ) -> None:
        self._work = work
        self._stopped = stopped
        self._scope: anyio.CancelScope | None = None
        self._stopping = False
        self._outcome: Future[T] = Future()
        self._process = os.getpid()
        self._portal: Portal = the_portal()

    def begin(self) -> None:
        """Start the work. Whoever may stop it knows the errand by then: work can be quicker than this call."""
        try:
            self._portal.start(self._run)
        except BaseException:
            # Interrupted while it waited: the work may have begun all the same.
            self.stop_soon()
            raise

    @property
    def over(self) -> bool:
        """True when there is nothing left to stop: it has ended, the process is exiting, or it is a parent process's."""
        return self._outcome.done() or self._portal.leaving or self._process != os.getpid()

    def check_process(self) -> None:
        """Refuse to wait for what can never come.

        Raises:
            AquilaError: The errand goes on in the process this one was forked from.
        """
        if self._process != os.getpid() and not self._outcome.done():
            raise AquilaError(
                "the run belongs to the process that this one was forked from; start runs after forking"
            )

    def wait(self) -> T:
        """Wait for the outcome; an interruption of the waiting thread (Ctrl-C) stops the work.

        Raises:
            AquilaError: The work failed, was stopped, or belongs to another process.
        """
        self.check_process()
        try:
            return self._outcome.result()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Cancel the work and wait until it has freed what it holds; nothing happens if it is over."""
        if self.over:
            return
        self.stop_soon()
        if self._portal.is_here:
            # A sink or a tool, in the event loop itself, which it must not block.
            return
        try:
            self._outcome.exception(_STOP_SECONDS)
        except TimeoutError:
            logger.warning("run_still_closing seconds=%g", _STOP_SECONDS)

    def stop_soon(self) -> None:
        """Cancel the work without waiting; safe in a finaliser, in any thread."""
        if not self.over:
            self._stopping = True
            self._portal.post(self._cancel)

    def post(self, function: Callable[[], object]) -> None:
        """Call a function in the portal's event loop soon."""
        self._portal.post(function)

    def _cancel(self) -> None:
        if self._scope is not None:
            self._scope.cancel()

    async def _run(self) -> None:
        if self._stopping:
            self._outcome.set_exception(AquilaError("the run was closed before it began"))
            return
        try:
            with anyio.CancelScope() as self._scope:
                self._outcome.set_result(await self._work())
                return
            self._outcome.set_exception(await self._stopped())
        except Exception as error:  # noqa: BLE001 - raised in the thread that waits
            self._outcome.set_exception(error)
        except BaseException:
            # The loop itself ends. At exit nobody is told: a daemon thread would only print what it cannot help.
            if not self._portal.leaving:
                self._outcome.set_exception(AquilaError("the event loop of aquila.sync was ended"))
            raise
