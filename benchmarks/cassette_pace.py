"""Pace: 1,000 answers replayed together in the time they were recorded in, 50 chunks 20 ms apart.

They begin within half a second, or (`storm`) at once: then no reader hears from the event loop before all are open. How
late a chunk is counts from the moment its reader asked; `timers` are the same waits with no cassette at all.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio

from benchmarks.cassette_file import cassette, request
from benchmarks.scenario import Scenario, Target
from benchmarks.tally import BrokenClientError

_ANSWERS = 1000
_CHUNKS = 50
_PAUSE_MS = 20
#: Seconds from the first reader's beginning to the last one's.
_RAMP = 0.5

#: Reads the answer of a number and notes how late each chunk is, in seconds.
Read = Callable[[int, list[float]], Coroutine[Any, Any, None]]


async def measure(client: str, _url: str) -> dict[str, float]:
    """Read all answers together; the server is not asked.

    Raises:
        BrokenClientError: Chunks are missing.
    """
    late: list[float] = []
    with TemporaryDirectory() as folder:
        path = Path(folder) / "cassette.yaml"
        path.write_bytes(cassette(_ANSWERS + 1, _CHUNKS, pause_ms=_PAUSE_MS))
        read = await _replayed(path) if client.startswith("aquila") else _timers
        ramp = 0.0 if client.endswith("storm") else _RAMP
        gc.collect()
        began = time.process_time()
        async with anyio.create_task_group() as tasks:
            for number in range(_ANSWERS):
                tasks.start_soon(_after, number / _ANSWERS * ramp, read, number, late)
        spent = time.process_time() - began
    if len(late) != _ANSWERS * _CHUNKS:
        raise BrokenClientError(f"{len(late)} chunks came instead of {_ANSWERS * _CHUNKS}")
    each = statistics.quantiles(late, n=100)
    return {
        "p99": each[98] * 1e3, "p50": each[49] * 1e3, "max": max(late) * 1e3,
        "CPU": spent / len(late) * 1e6,
    }  # fmt: skip


async def _after(seconds: float, read: Read, number: int, late: list[float]) -> None:
    await anyio.sleep(seconds)
    await read(number, late)


async def _replayed(path: Path) -> Read:
    from aquila.cassette import ReplayTransport  # noqa: PLC0415 - the other client must not pay for it

    transport = ReplayTransport(path, speed=1)
    # The first request loads the file.
    await (await transport.send(request(_ANSWERS))).aclose()
    requests = [request(number) for number in range(_ANSWERS)]

    async def read(number: int, late: list[float]) -> None:
        due = time.monotonic()
        response = await transport.send(requests[number])
        async for _ in response.chunks:
            due += _PAUSE_MS / 1000
            late.append(time.monotonic() - due)
        await response.aclose()

    return read


async def _timers(_number: int, late: list[float]) -> None:
    due = time.monotonic()
    for _ in range(_CHUNKS):
        due += _PAUSE_MS / 1000
        await anyio.sleep(max(0.0, due - time.monotonic()))
        late.append(time.monotonic() - due)


SCENARIOS = (
    Scenario(
        title="cassettes: 1,000 timed replays, 50 chunks 20 ms apart",
        measure=measure,
        clients=("aquila", "timers", "aquila/storm"),
        columns={"p99": "ms late", "p50": "ms late", "max": "ms late", "CPU": "us a chunk"},
        targets=(Target(what="p99", of="aquila", at_most=20.0),),
        warm_ups=1,
    ),
)
