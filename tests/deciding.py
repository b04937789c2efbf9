"""A server that looks at each request before it answers, for tests of what its refusals teach."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from tests import wire
from tests.fault_server import Reply, play, refusal
from tests.wire import Connection, Server


def bad(message: str) -> Reply:
    """Refuse a request for what it says."""
    return refusal("400 Bad Request", {"message": message, "type": "invalid_request_error"})


@asynccontextmanager
async def deciding(decide: Callable[[Any], Reply]) -> AsyncIterator[Server]:
    """Serve what `decide` makes of each request's payload."""

    async def handler(connection: Connection) -> None:
        await play(connection, decide(connection.payload))

    async with wire.serve(handler) as server:
        yield server
