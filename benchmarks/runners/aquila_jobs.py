"""Aquila: rows in SQLite, messages in Valkey."""

from __future__ import annotations

import os
import sys

import anyio

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


async def send(numbers: range, seconds: float) -> None:
    """Send jobs."""
    await jobs.asend_all(work.message(number, seconds) for number in numbers)
