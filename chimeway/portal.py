"""Asynchronous adapters for synchronous callers: their calls run in the one portal thread of `aquila.sync`."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

from aquila.errors import AquilaError
from aquila.sync.errand import Errand

T = TypeVar("T")


def run_in_portal(work: Awaitable[T]) -> T:
    """Wait in this thread for work that runs in the portal. An interruption stops it.

    Raises:
        AquilaError: The work was stopped, or the portal has ended.
    """

    async def done() -> T:
        return await work

    errand: Errand[T] = Errand(done, stopped=_stopped)
    errand.begin()
    return errand.wait()


async def _stopped() -> AquilaError:
    return AquilaError("the call was stopped before it had an answer")
