"""What the workers of the promises run."""

from __future__ import annotations

import os
from pathlib import Path

import anyio

import aquila
import jobs
from benchmarks.runners.note import note

#: Jobs of the queue `few` at once over all workers.
FEW = 2
#: The environment: the server that streams, and a file whose coming lets the first attempt of `outlive` go on.
BASE_URL, GO = "BENCH_BASE_URL", "BENCH_GO"
#: What each attempt of `outlive` writes, over and over, and for how long: the first one longer than the second.
ROUNDS, STALE_ROUNDS, SHAPE = 15, 25, "3@40"

jobs.configure(global_limits={"few": FEW})


@jobs.actor(queue_name="bench")
async def work(number: int, seconds: float) -> None:
    """Wait."""
    note(number, "begin")
    await anyio.sleep(seconds)
    note(number, "end")


@jobs.actor(queue_name="few")
async def limited(number: int, seconds: float) -> None:
    """Wait, on the queue with the limit."""
    note(number, "begin")
    await anyio.sleep(seconds)
    note(number, "end")


@jobs.actor(queue_name="bench", max_attempts=1)
async def tell(shape: str) -> None:
    """Stream an answer of the bench's server."""
    await _tell(shape)


@jobs.actor(queue_name="bench")
async def outlive(number: int) -> str:
    """Write all that an attempt can write. The first attempt waits to be told, and does not let itself be cancelled."""
    attempt = jobs.current().attempt
    note(number, f"begin{attempt}")
    with anyio.CancelScope(shield=attempt == 1):
        while attempt == 1 and not Path(os.environ[GO]).exists():  # noqa: ASYNC110, ASYNC240 - another process makes it
            await anyio.sleep(0.01)
        for turn in range(STALE_ROUNDS if attempt == 1 else ROUNDS):
            await _write(number, attempt, turn)
    note(number, f"end{attempt}")
    return f"attempt {attempt}"


async def _write(number: int, attempt: int, turn: int) -> None:
    await _tell(SHAPE)
    job = jobs.current()
    for write in (
        lambda: job.step(f"step-{attempt}-{turn}", int, turn),
        lambda: job.progress(**{f"progress-{attempt}": turn}),
    ):
        try:
            await write()
        except jobs.JobsError:
            note(number, f"refused{attempt}")


async def _tell(shape: str) -> None:
    async with aquila.stream("hello", model=shape, base_url=os.environ[BASE_URL], api_key="k") as stream:
        async for _ in stream:
            continue
