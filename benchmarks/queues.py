"""Queues: the jobs and their peers, each with one worker process on its own servers; a job waits and does nothing else."""

from __future__ import annotations

import statistics
import time

import anyio

from benchmarks.runners.stage import staged
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
_PICKED = 40
_MANY = 2000


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


async def pick_up(client: str, _: str) -> dict[str, float]:
    """Send jobs one at a time to an idle worker."""
    async with staged(_RUNNERS[client], 10) as stage:
        late = []
        for number in range(_PICKED):
            one = range(number, number + 1)
            await anyio.sleep(0.1)
            asked = time.monotonic()
            await stage.send(one, 0.0)
            late.append(1000 * ((await stage.until("begin", one))[0].at - asked))
        return {"p50": statistics.median(late), "max": max(late)}


async def flow(client: str, _: str) -> dict[str, float]:
    """Send many jobs that do nothing, a hundred at once."""
    async with staged(_RUNNERS[client], 100) as stage:
        numbers = range(_MANY)
        asked = time.monotonic()
        await stage.send(numbers, 0.0)
        ended = await stage.until("end", numbers)
        first = min(note.at for note in await stage.until("begin", numbers))
        return {
            "a job": 1000 * (max(note.at for note in ended) - first) / _MANY,
            "sent and done": max(note.at for note in ended) - asked,
            "CPU": 1000 * stage.cpu(ended[-1].pid) / _MANY,
        }


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
        limit=130.0,
    ),
    Scenario(
        title="queue: from send to begin, on an idle worker",
        measure=pick_up,
        clients=_ALL,
        columns={"p50": "ms", "max": "ms"},
        targets=(Target(what="p50", of="aquila", at_most=20.0),),
        rounds=2,
        limit=90.0,
    ),
    Scenario(
        title="queue: 2,000 jobs that do nothing, a hundred at once",
        measure=flow,
        clients=_ALL,
        columns={"a job": "ms", "sent and done": "s", "CPU": "ms a job"},
        rounds=2,
        limit=90.0,
    ),
)
