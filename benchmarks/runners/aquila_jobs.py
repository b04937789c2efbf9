"""Aquila: rows in SQLite, messages in Valkey."""

from __future__ import annotations

import os
import sys

import anyio

import aquila
import jobs
from benchmarks.runners.note import AT_ONCE, REDIS, note

COMMAND = [sys.executable, "-m", "aquila.cli", "worker", __name__, "--queues", f"bench={os.environ[AT_ONCE]}"]
os.environ["AQUILA_REDIS_URL"] = os.environ[REDIS]


@jobs.actor(queue_name="bench")
async def work(number: int, seconds: float) -> None:
    """Wait."""
    note(number, "begin")
    await anyio.sleep(seconds)
    note(number, "end")


@jobs.actor(queue_name="bench", max_attempts=1)
async def tell(shape: str) -> None:
    """Stream an answer of the bench's server."""
    async with aquila.stream(
        "hello", model=shape, base_url=os.environ["BENCH_BASE_URL"], api_key="k"
    ) as stream:
        async for _ in stream:
            continue


async def send(numbers: range, seconds: float) -> None:
    """Send jobs."""
    await jobs.asend_all(work.message(number, seconds) for number in numbers)
