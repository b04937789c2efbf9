"""Crowd: 1,000 streams at the same time in one process, ten chunks a second each, after a ramp of one second."""

from __future__ import annotations

import re
from pathlib import Path

import anyio

from benchmarks.clients import CLIENTS, Read
from benchmarks.scenario import Scenario, Target
from benchmarks.tally import BrokenClientError, Tally

_STREAMS = 1000
_CHUNKS = 50
_PAUSE_MS = 100
_RAMP = 1.0


async def measure(client: str, url: str) -> dict[str, float]:
    """Read all streams; the window begins when every one of them stands.

    Raises:
        BrokenClientError: A stream failed.
    """
    total = _STREAMS * _CHUNKS
    failures: list[Exception] = []
    async with CLIENTS[client](url) as read:
        await read("20@0", lambda _: None)
        tally = Tally((total // 4, total - total // 4))
        async with anyio.create_task_group() as tasks:
            for number in range(_STREAMS):
                tasks.start_soon(_one, read, number / _STREAMS * _RAMP, tally, failures)
        if failures:
            raise BrokenClientError(
                f"{len(failures)} of {_STREAMS} streams failed, the first with {failures[0]!r}"
            )
        return {"p99": tally.late(), "RSS": peak_memory(), "CPU": tally.cpu(total, total // 2)}


async def _one(read: Read, after: float, tally: Tally, failures: list[Exception]) -> None:
    await anyio.sleep(after)
    try:
        await read(f"{_CHUNKS}@{_PAUSE_MS}", tally.timed)
    except Exception as error:  # noqa: BLE001 - the other streams go on, and the run fails at its end
        failures.append(error)


def peak_memory() -> float:
    """Give the most memory this process has had in RAM, in MB; Linux only."""
    peak = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    return int(peak[1]) / 1024 if peak else float("nan")


SCENARIOS = (
    Scenario(
        title="crowd: 1,000 streams, ten chunks a second each",
        measure=measure,
        clients=("aquila", "openai"),
        columns={"p99": "ms late", "RSS": "MB", "CPU": "us a chunk"},
        targets=(
            Target(what="p99", of="aquila", at_most=20.0),
            Target(what="RSS", of="aquila", at_most=150.0),
        ),
    ),
)
