"""taskiq on a Redis stream."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import anyio
from taskiq_redis import RedisStreamBroker

from benchmarks.runners.note import AT_ONCE, REDIS, note

COMMAND = [
    str(Path(sys.executable).with_name("taskiq")),
    "worker",
    f"{__name__}:broker",
    "--workers=1",
    f"--max-async-tasks={os.environ[AT_ONCE]}",
    "--log-level=WARNING",
]

broker = RedisStreamBroker(os.environ[REDIS])


@broker.task
async def work(number: int, seconds: float) -> None:
    """Wait."""
    note(number, "begin")
    await anyio.sleep(seconds)
    note(number, "end")


async def send(numbers: range, seconds: float) -> None:
    """Send jobs."""
    if not getattr(broker, "is_started", False):
        await broker.startup()
        broker.is_started = True
    for number in numbers:
        await work.kiq(number, seconds)
