"""Ask: answers of 20 chunks, one after the other on a warm connection, alone and beside 500 open streams."""

from __future__ import annotations

import anyio

from benchmarks.clients import CLIENTS, Read
from benchmarks.scenario import Scenario, Target
from benchmarks.tally import Tally

_CHUNKS = 20
_ASKS = 100
_OTHERS = 500
#: Longer than the run: after their first chunk the other streams say nothing.
_QUIET_MS = 3_600_000


async def measure(client: str, url: str) -> dict[str, float]:
    """Ask alone, then ask again while the same client holds the other streams."""
    async with CLIENTS[client](url) as read:
        await _asks(read)
        alone = await _asks(read)
        all_stand = anyio.Event()
        others = Tally()

        def stands(text: str) -> None:
            others.timed(text)
            if others.count == _OTHERS:
                all_stand.set()

        async with anyio.create_task_group() as tasks:
            for _ in range(_OTHERS):
                tasks.start_soon(read, f"2@{_QUIET_MS}", stands)
            await all_stand.wait()
            await _asks(read)
            crowded = await _asks(read)
            tasks.cancel_scope.cancel()
        return {"alone": alone, "beside 500": crowded}


async def _asks(read: Read) -> float:
    tally = Tally()
    for _ in range(_ASKS):
        await read(f"{_CHUNKS}@0", tally.each)
    return tally.cpu(_ASKS * _CHUNKS, _ASKS)


SCENARIOS = (
    Scenario(
        title="ask: 20 chunks on a warm connection",
        measure=measure,
        clients=("aquila", "httpx", "openai"),
        columns={"alone": "us an answer", "beside 500": "us an answer"},
        targets=(
            Target(what="alone", of="aquila", over="httpx", at_most=1.0),
            Target(what="beside 500", of="aquila", over="aquila", over_what="alone", at_most=1.6),
        ),
    ),
)
