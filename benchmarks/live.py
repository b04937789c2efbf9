"""Live: streamed jobs in one worker process on a core of its own; their provider, Redis and the readers share the other.

A token's lateness is the time from the provider's writing to a follower's event.
"""

from __future__ import annotations

import os
import statistics
import time
from functools import partial

import anyio
import psutil

import jobs
from benchmarks.runners.stage import staged
from benchmarks.scenario import Scenario, Target
from benchmarks.tally import BrokenClientError

_SECONDS = 8.0
#: Tokens that come in the first seconds, while all streams are opened at once, count for nothing.
_OPENING = 3.0


async def measure(streams: int, per_second: int, followed: int, _: str, url: str) -> dict[str, float]:
    """Run the jobs and follow some of them.

    Raises:
        BrokenClientError: A token is missing.
    """
    os.environ["BENCH_BASE_URL"] = url
    chunks = int(_SECONDS * per_second)
    late: list[float] = []
    async with staged("aquila_jobs", streams) as stage:
        from benchmarks.runners.aquila_jobs import tell  # noqa: PLC0415 - needs the stage's environment

        worker = stage.worker.pid if stage.worker is not None else 0
        _pin(worker)
        before = stage.cpu(worker)
        shape = f"{chunks}@{1000 // per_second}"
        handles = await jobs.asend_all([tell.message(shape) for _ in range(streams)])
        begun = time.monotonic()
        async with anyio.create_task_group() as group:
            for handle in handles[:: max(1, streams // followed)][:followed]:
                group.start_soon(_follow, handle.job_id, chunks, begun + _OPENING, late)
        cpu = stage.cpu(worker) - before
    parts = statistics.quantiles(late, n=100)
    return {"p50": 1000 * parts[49], "p99": 1000 * parts[98], "CPU": 1e6 * cpu / (streams * chunks)}


async def _follow(job_id: str, chunks: int, since: float, late: list[float]) -> None:
    count = 0
    async with jobs.follow(job_id) as events:
        async for event in events:
            if event.type == "failed":
                raise BrokenClientError(f"a job failed: {event.data['message']}")
            now = time.monotonic()
            if event.type == "attempt":
                count = 0
            for token in event.text.split():
                count += 1
                if float(token) > since:
                    late.append(now - float(token))
    if count != chunks:
        raise BrokenClientError(
            f"{count} tokens came instead of {chunks} {len((event.output or '').split())} {event.attempt} {event.type}"
        )


def _pin(worker: int) -> None:
    if hasattr(os, "sched_setaffinity"):
        first, *others = sorted(os.sched_getaffinity(0))
        for thread in psutil.Process(worker).threads():
            os.sched_setaffinity(thread.id, {first})
        rest = set(others) or {first}
        parent = psutil.Process(os.getppid())
        for process in (parent, *parent.children(recursive=True)):
            if process.pid != worker:
                os.sched_setaffinity(process.pid, rest)


_COLUMNS = {"p50": "ms late", "p99": "ms late", "CPU": "us a token"}

SCENARIOS = (
    Scenario(
        title="live: 500 streamed jobs of 20 tokens a second, 50 of them followed",
        measure=partial(measure, 500, 20, 50),
        clients=("aquila",),
        columns=_COLUMNS,
        targets=(Target(what="p99", of="aquila", at_most=200.0),),
        rounds=1,
    ),
    Scenario(
        title="live: 400 streamed jobs of 50 tokens a second, 20 of them followed",
        measure=partial(measure, 400, 50, 20),
        clients=("aquila",),
        columns=_COLUMNS,
        targets=(Target(what="p99", of="aquila", at_most=60.0),),
        rounds=1,
    ),
)
