"""Asynchronous adapters for synchronous callers: their calls run in the one portal thread of `aquila.sync`."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import TypeVar

import anyio

from aquila.errors import AquilaError
from aquila.sync.errand import Errand
from aquila.sync.portal import the_portal

T = TypeVar("T")


def run_in_portal(work: Callable[[], Awaitable[T]]) -> T:
    """Wait in this thread for work that runs in the portal. An interruption stops it.

    Raises:
        AquilaError: The work was stopped, or the portal has ended.
    """
    if the_portal().is_here:
        # The portal's own thread would wait for itself.
        return _in_a_loop_of_its_own(work)
    errand: Errand[T] = Errand(work, stopped=_stopped)
    errand.begin()
    return errand.wait()


async def _stopped() -> AquilaError:
    return AquilaError("the call was stopped before it had an answer")


def _in_a_loop_of_its_own(work: Callable[[], Awaitable[T]]) -> T:
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(anyio.run(work))
        except BaseException as error:  # noqa: BLE001 - raised in the thread that waits
            outcome.set_exception(error)

    thread = threading.Thread(target=run, name="chimeway-portal", daemon=True)
    thread.start()
    return outcome.result()
