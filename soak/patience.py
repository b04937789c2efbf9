"""Waits for a database that is away: the soak itself must outlive the outage that it makes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

import anyio

from jobs.errors import StorageError

P = ParamSpec("P")
T = TypeVar("T")

#: Seconds between two tries.
PAUSE = 0.2


async def patient(call: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call until the database answers."""
    while True:
        try:
            return await call(*args, **kwargs)
        except StorageError:
            await anyio.sleep(PAUSE)
