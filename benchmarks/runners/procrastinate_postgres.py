"""Procrastinate: rows and messages in PostgreSQL."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import anyio
from procrastinate import App, PsycopgConnector, SyncPsycopgConnector

from benchmarks.runners.note import AT_ONCE, POSTGRES, note

COMMAND = [
    str(Path(sys.executable).with_name("procrastinate")),
    f"--app={__name__}.app",
    "worker",
    f"--concurrency={os.environ[AT_ONCE]}",
]

app = App(connector=PsycopgConnector(conninfo=os.environ[POSTGRES], max_size=20))


@app.task(name="work")
async def work(number: int, seconds: float) -> None:
    """Wait."""
    note(number, "begin")
    await anyio.sleep(seconds)
    note(number, "end")


async def send(numbers: range, seconds: float) -> None:
    """Send jobs."""
    async with app.open_async():
        await work.batch_defer_async(*({"number": number, "seconds": seconds} for number in numbers))


def set_up() -> None:
    """Make the tables."""
    with App(connector=SyncPsycopgConnector(conninfo=os.environ[POSTGRES])).open() as opened:
        opened.schema_manager.apply_schema()
