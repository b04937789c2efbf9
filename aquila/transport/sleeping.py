"""What waits between two requests: real time, or that of a replay."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio

from aquila.transport.base import Transport


def sleep_of(transport: Transport) -> Callable[[float], Awaitable[object]]:
    """Give what waits between two requests of a transport: its own sleep, else that of the clock on the wall."""
    own: Callable[[float], Awaitable[object]] = getattr(transport, "sleep", anyio.sleep)
    return own
