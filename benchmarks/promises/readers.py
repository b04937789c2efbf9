"""Readers of live streams that leave at random and come back: each must have every token once, and soon."""

from __future__ import annotations

import random
import statistics
import time
from collections import Counter

import anyio

import jobs
from benchmarks.promises.place import place
from benchmarks.scenario import Scenario, Target
from benchmarks.tally import BrokenClientError

_STREAMS, _READERS, _LEAVES = 100, 300, 3
_TOKENS, _PAUSE_MS = 140, 50
#: Tokens that come in the first seconds, while all streams and readers are opened at once, count for nothing.
_OPENING = 2.0


class _Reader:
    """One reader, and what it has read in all."""

    def __init__(self, job_id: str, seed: int) -> None:
        chance = random.Random(seed)  # noqa: S311 - it must be repeatable, it hides nothing
        self._job_id = job_id
        self._leaves = sorted(chance.sample(range(1, _TOKENS), _LEAVES))
        self._cursor: str | None = None
        self._output: str | None = None
        self._ended = False
        self.tokens: list[str] = []
        self.late: list[float] = []
        self.left = 0

    async def run(self, since: float) -> None:
        """Read to the end; tokens written before `since` count for no lateness."""
        while not self._ended:
            leaves_at = self._leaves.pop(0) if self._leaves else None
            await self._read(since, leaves_at)
            self.left += not self._ended

    async def _read(self, since: float, leaves_at: int | None) -> None:
        async with jobs.follow(self._job_id, after=self._cursor) as events:
            async for event in events:
                now = time.monotonic()
                self._cursor = event.cursor
                if event.ends:
                    self._output, self._ended = event.output, event.type == "done"
                    if not self._ended:
                        raise BrokenClientError(f"a job ended with {event.type}: {event.data}")
                    return
                words = event.text.split()
                self.tokens += words
                self.late += [now - float(word) for word in words if float(word) > since]
                if leaves_at is not None and len(self.tokens) >= leaves_at:
                    return

    def faults(self) -> Counter[str]:
        """Count what is missing, what came twice, and what came in another order."""
        wanted = (self._output or "").split()
        counts = Counter(self.tokens)
        return Counter(
            gaps=sum((Counter(wanted) - counts).values()) + (_TOKENS - len(wanted)),
            repeats=sum((counts - Counter(wanted)).values()),
            disorder=int(self.tokens != sorted(self.tokens, key=float)),
        )


async def read(client: str, url: str) -> dict[str, float]:
    """Let three readers follow each of the streams, which all run in one worker.

    Raises:
        BrokenClientError: A reader has not read every token once and in order.
    """
    with place(client, url) as opened:
        await opened.worker(f"bench={_STREAMS}")
        shape = f"{_TOKENS}@{_PAUSE_MS}"
        handles = await jobs.asend_all([opened.actors.tell.message(shape) for _ in range(_STREAMS)])
        readers = [_Reader(handles[number % _STREAMS].job_id, number) for number in range(_READERS)]
        since = time.monotonic() + _OPENING
        async with anyio.create_task_group() as group:
            for reader in readers:
                group.start_soon(reader.run, since)
    faults = Counter[str]()
    for reader in readers:
        faults.update(reader.faults())
    left = sum(reader.left for reader in readers)
    if any(faults.values()) or left != _READERS * _LEAVES:
        raise BrokenClientError(f"{left} disconnects, {dict(faults)}")
    parts = statistics.quantiles([late for reader in readers for late in reader.late], n=100)
    return {
        "gaps": 0.0, "repeats": 0.0, "left": float(left), "p50": 1000 * parts[49], "p99": 1000 * parts[98],
    }  # fmt: skip


SCENARIOS = (
    Scenario(
        title=f"promise: {_READERS} readers of {_STREAMS} streams leave {_READERS * _LEAVES} times and come back",
        measure=read,
        clients=("aquila",),
        columns={"gaps": "tokens", "repeats": "tokens", "left": "times", "p50": "ms late", "p99": "ms late"},
        targets=(
            Target(what="gaps", of="aquila", at_most=0),
            Target(what="repeats", of="aquila", at_most=0),
            Target(what="p99", of="aquila", at_most=200.0),
        ),
        rounds=1,
    ),
)
