"""Dramatiq with its own worker: an async actor blocks one of its threads."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import anyio
import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import AsyncIO

from benchmarks.runners.note import AT_ONCE, REDIS, note

COMMAND = [
    str(Path(sys.executable).with_name("dramatiq")),
    "--processes",
    "1",
    "--threads",
    os.environ[AT_ONCE],
    __name__,
]

# Its pool refuses more than a hundred connections unless it is told otherwise.
broker = RedisBroker(url=os.environ[REDIS], max_connections=10_000)
broker.add_middleware(AsyncIO())
dramatiq.set_broker(broker)


@dramatiq.actor(max_retries=0, time_limit=float("inf"))
async def work(number: int, seconds: float) -> None:
    """Wait."""
    note(number, "begin")
    await anyio.sleep(seconds)
    note(number, "end")


async def send(numbers: range, seconds: float) -> None:
    """Send jobs."""
    for number in numbers:
        work.send(number, seconds)
