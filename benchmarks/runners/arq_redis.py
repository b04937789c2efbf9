"""arq."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, ClassVar

import anyio
from arq import create_pool
from arq.connections import RedisSettings

from benchmarks.runners.note import AT_ONCE, REDIS, note

COMMAND = [str(Path(sys.executable).with_name("arq")), f"{__name__}.WorkerSettings"]


async def work(_: dict[str, Any], number: int, seconds: float) -> None:
    """Wait."""
    note(number, "begin")
    await anyio.sleep(seconds)
    note(number, "end")


class WorkerSettings:
    """What its command reads."""

    functions: ClassVar = [work]
    redis_settings = RedisSettings.from_dsn(os.environ[REDIS])
    max_jobs = int(os.environ[AT_ONCE])
    keep_result = 0
    max_tries = 1


_POOL: list[Any] = []


async def send(numbers: range, seconds: float) -> None:
    """Send jobs."""
    if not _POOL:
        _POOL.append(await create_pool(WorkerSettings.redis_settings))
    for number in numbers:
        await _POOL[0].enqueue_job("work", number, seconds)
