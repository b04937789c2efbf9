"""The process's one event loop for synchronous callers, in a daemon thread."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future

import anyio
from anyio.from_thread import BlockingPortal

from aquila.errors import ConfigError

#: Seconds that runs may take over their closing when the process exits.
_EXIT_SECONDS = 2.0


class Portal:
    """An event loop in a thread of its own, which any other thread may give work to."""

    def __init__(self) -> None:
        self._begun: Future[tuple[BlockingPortal, asyncio.AbstractEventLoop]] = Future()
        # A daemon's children are daemons: no thread of the loop's keeps the process from exiting.
        self._thread = threading.Thread(target=self._run, name="aquila-sync", daemon=True)
        self._thread.start()
        #: True from the moment the process exits.
        self.leaving = False

    @property
    def alive(self) -> bool:
        """False once the loop has ended."""
        return self._thread.is_alive() and not self.leaving

    @property
    def is_here(self) -> bool:
        """True in the portal's own thread."""
        return threading.current_thread() is self._thread

    def start(self, work: Callable[[], Awaitable[None]]) -> None:
        """Start a task in the loop, in a copy of the calling thread's context."""
        blocking, _ = self._begun.result()
        blocking.start_task_soon(work)

    def post(self, function: Callable[[], object]) -> None:
        """Call a function in the loop soon. Never blocks, never raises: a loop that has ended has nothing to do."""
        if not self._begun.done():
            return
        _, loop = self._begun.result()
        try:
            loop.call_soon_threadsafe(function)
        except RuntimeError:
            return

    def leave(self) -> None:
        """End the loop and what runs in it."""
        self.leaving = True
        if self._begun.done() and self._thread.is_alive():
            blocking, loop = self._begun.result()
            asyncio.run_coroutine_threadsafe(blocking.stop(cancel_remaining=True), loop)
            self._thread.join(_EXIT_SECONDS)

    def _run(self) -> None:
        try:
            anyio.run(self._serve)
        except BaseException as error:  # noqa: BLE001 - a thread has nobody to raise to: who waits for it is told
            if not self._begun.done():
                self._begun.set_exception(error)

    async def _serve(self) -> None:
        async with BlockingPortal() as blocking:
            self._begun.set_result((blocking, asyncio.get_running_loop()))
            await blocking.sleep_until_stopped()


class _Process:
    """What this process has: at most one portal."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.portal: Portal | None = None
        #: Portals of a parent process. Their threads stayed there; their loops must never be closed here.
        self.parents: list[Portal] = []

    def after_fork(self) -> None:
        # Some other thread may have held the lock while the process forked.
        self.lock = threading.Lock()
        if self.portal is not None:
            self.parents.append(self.portal)
            self.portal = None

    def at_exit(self) -> None:
        if self.portal is not None:
            self.portal.leave()


_process = _Process()
os.register_at_fork(after_in_child=_process.after_fork)
atexit.register(_process.at_exit)


def the_portal() -> Portal:
    """Give the process's portal, starting it if there is none."""
    with _process.lock:
        if _process.portal is None or not _process.portal.alive:
            _process.portal = Portal()
        return _process.portal


def refuse_in_loop(name: str, instead: str) -> None:
    """Refuse to block an event loop.

    Raises:
        ConfigError: This thread runs one.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise ConfigError(
        f"aquila.sync.{name} would block the event loop that runs in this thread; use `{instead}` there"
    )
