"""Checked by mypy, never run: a transport of a cassette fits the clients of both libraries."""

from __future__ import annotations

import httpx
import httpx2

from aquila.cassette import CassetteTransport, ReplayTransport
from aquila.transport import Transport


async def check() -> None:
    replay = ReplayTransport("cassettes/a.yaml")
    for transport in (replay, CassetteTransport("a")):
        httpx.Client(transport=transport)
        httpx2.Client(transport=transport)
        httpx.AsyncClient(transport=transport)
        httpx2.AsyncClient(transport=transport)
    async with replay as same:
        seam: Transport = same
        await seam.aclose()
