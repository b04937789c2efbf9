"""streaQ."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import anyio
from streaq import Worker

from benchmarks.runners.note import AT_ONCE, REDIS, note

COMMAND = [str(Path(sys.executable).with_name("streaq")), "run", f"{__name__}:worker"]

worker = Worker(redis_url=os.environ[REDIS], concurrency=int(os.environ[AT_ONCE]))


@worker.task(ttl=0)
async def work(number: int, seconds: float) -> None:
    """Wait."""
    note(number, "begin")
    await anyio.sleep(seconds)
    note(number, "end")


async def send(numbers: range, seconds: float) -> None:
    """Send jobs."""
    async with worker:
        await worker.enqueue_many([work.enqueue(number, seconds) for number in numbers])
