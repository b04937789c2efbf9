"""Steady: 50 streams, one event a read, as a model on the other side of the world answers."""

from __future__ import annotations

import anyio

from benchmarks.clients import CLIENTS, Read
from benchmarks.scenario import Scenario, Target
from benchmarks.tally import Tally

_STREAMS = 50
_CHUNKS = 125
_PAUSE_MS = 20
_TITLE = "steady: 50 streams, one event a read, 20 ms apart"


async def measure(client: str, url: str) -> dict[str, float]:
    """Read all streams together; opening and closing them stays outside the window."""
    total = _STREAMS * _CHUNKS
    window = (total // 5, total - total // 5)
    async with CLIENTS[client](url) as read:
        await read("20@0", lambda _: None)
        tally = Tally(window)
        async with anyio.create_task_group() as tasks:
            for number in range(_STREAMS):
                tasks.start_soon(_one, read, number / _STREAMS * _PAUSE_MS / 1000, tally)
        return {"CPU": tally.cpu(total, window[1] - window[0]), "p99": tally.late()}


async def _one(read: Read, after: float, tally: Tally) -> None:
    await anyio.sleep(after)
    await read(f"{_CHUNKS}@{_PAUSE_MS}", tally.timed)


_ALL = ("socket loop", "aquila", "httpx", "httpx2", "openai", "any-llm", "llm", "langchain", "pydantic-ai")
_FEW = ("socket loop", "aquila", "httpx", "httpx2", "openai")
_COLUMNS = {"CPU": "us a chunk", "p99": "ms late"}
_TARGETS = (
    Target(what="CPU", of="aquila", over="openai", at_most=1 / 4, aim=1 / 5),
    Target(what="CPU", of="aquila", over="socket loop", at_most=2.0),
)

SCENARIOS = (
    Scenario(title=_TITLE, measure=measure, clients=_ALL, columns=_COLUMNS, targets=_TARGETS),
    Scenario(
        title=f"{_TITLE}, over TLS",
        measure=measure,
        clients=_FEW,
        columns=_COLUMNS,
        targets=_TARGETS,
        scheme="https",
    ),
)
