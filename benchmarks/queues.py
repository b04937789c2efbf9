"""Queues: the jobs and their peers, each with one worker process on its own servers; a job waits and does nothing else."""

from __future__ import annotations

import statistics
import time

import anyio

from benchmarks.runners.stage import Stage, staged
from benchmarks.scenario import Scenario, Target

_RUNNERS = {
    "aquila": "aquila_jobs",
    "aquila, PostgreSQL": "aquila_postgres",
    "dramatiq": "stock_dramatiq",
    "taskiq": "taskiq_redis_stream",
    "arq": "arq_redis",
    "streaq": "streaq_redis",
    "procrastinate": "procrastinate_postgres",
}
_WAITING, _WAIT = 2000, 5.0
#: Jobs that are sent one at a time, and seconds between two of them.
_PICKED, _BREAK = 20, 0.08
_MANY, _AT_ONCE = 1000, 100


async def hold(client: str, _: str) -> dict[str, float]:
    """Let one worker hold all jobs at the same time."""
    async with staged(_RUNNERS[client], _WAITING) as stage:
        numbers = range(_WAITING)
        await stage.send(numbers, _WAIT)
        begun = await stage.until("begin", numbers)
        rss, threads = stage.footprint(begun[-1].pid)
        ended = await stage.until("end", numbers)
        wall = max(note.at for note in ended) - min(note.at for note in begun)
        return {"wall": wall, "RSS": rss, "threads": threads, "CPU": stage.cpu(begun[-1].pid)}


async def run(client: str, _: str) -> dict[str, float]:
    """Send jobs one at a time to an idle worker, then many."""
    async with staged(_RUNNERS[client], _AT_ONCE) as stage:
        late = [await _picked_up(stage, number) for number in range(_PICKED)]
        wall = await _flow(stage, range(_PICKED, _PICKED + _MANY))
        return {"pick-up": statistics.median(late), "slowest": max(late), "a job": 1000 * wall / _MANY}


async def _picked_up(stage: Stage, number: int) -> float:
    one = range(number, number + 1)
    await anyio.sleep(_BREAK)
    asked = time.monotonic()
    await stage.send(one, 0.0)
    return 1000 * ((await stage.until("begin", one))[0].at - asked)


async def _flow(stage: Stage, numbers: range) -> float:
    asked = time.monotonic()
    await stage.send(numbers, 0.0)
    return max(note.at for note in await stage.until("end", numbers)) - asked


_ALL = tuple(_RUNNERS)

SCENARIOS = (
    Scenario(
        title="queue: 2,000 jobs that wait five seconds, in one worker process",
        measure=hold,
        clients=_ALL,
        columns={"wall": "s", "RSS": "MB", "threads": "", "CPU": "s"},
        targets=(
            Target(what="RSS", of="aquila", at_most=100.0),
            Target(what="threads", of="aquila", at_most=20.0),
            Target(what="wall", of="aquila", at_most=9.0),
        ),
        rounds=1,
        limit=60.0,
    ),
    Scenario(
        title="queue: one at a time to an idle worker, then 1,000 that do nothing, a hundred at once",
        measure=run,
        clients=_ALL,
        columns={"pick-up": "ms", "slowest": "ms", "a job": "ms"},
        targets=(Target(what="pick-up", of="aquila", at_most=20.0),),
        rounds=1,
        limit=60.0,
    ),
)
