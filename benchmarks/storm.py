"""Storm: 1,000 new streams at once, each of which takes one second by itself."""

from __future__ import annotations

import time

import anyio

from benchmarks.clients import CLIENTS
from benchmarks.scenario import Scenario, Target
from benchmarks.tally import Tally

_STREAMS = 1000
_CHUNKS = 11
_PAUSE_MS = 100
_IDEAL = (_CHUNKS - 1) * _PAUSE_MS / 1000


async def measure(client: str, url: str) -> dict[str, float]:
    """Open all streams together and read them to their ends."""
    async with CLIENTS[client](url) as read:
        await read("20@0", lambda _: None)
        tally = Tally()
        began = time.monotonic()
        async with anyio.create_task_group() as tasks:
            for _ in range(_STREAMS):
                tasks.start_soon(read, f"{_CHUNKS}@{_PAUSE_MS}", tally.each)
        return {"wall": (time.monotonic() - began) / _IDEAL, "CPU": tally.cpu(_STREAMS * _CHUNKS, _STREAMS)}


SCENARIOS = (
    Scenario(
        title="storm: 1,000 cold streams at once",
        measure=measure,
        clients=("socket loop", "aquila", "openai", "httpx"),
        columns={"wall": "x ideal", "CPU": "us a stream"},
        targets=(Target(what="wall", of="aquila", at_most=1.5),),
    ),
)
