"""The processes of a run: one server, and one worker for each client; none of them outlives it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import DEVNULL

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from benchmarks.scenario import Scenario

_LINE = 1 << 20
#: A client whose run takes longer than this is not run again.
_PATIENCE = 10.0


@dataclass(slots=True)
class Row:
    """What one client has measured so far, or why it has not."""

    measured: list[dict[str, float]] = field(default_factory=list)
    trouble: str = ""
    slow: bool = False


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[dict[str, str]]:
    """Run the server.

    Yields:
        The base URL for each scheme.
    """
    async with _process("benchmarks.server", str(folder)) as process:
        yield json.loads(await _line(process))


async def play(scenario: Scenario, url: str, folder: Path) -> dict[str, Row]:
    """Run a scenario's clients in turns."""
    rows = {client: Row() for client in scenario.clients}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AQUILA_", "OPENAI_"))}
    environment = {**kept, "SSL_CERT_FILE": str(folder / "ca.pem"), "OPENAI_API_KEY": "k"}
    async with AsyncExitStack() as stack:
        workers = {
            client: await stack.enter_async_context(
                _process("benchmarks.worker", scenario.title, client, url, env=environment)
            )
            for client in scenario.clients
        }
        for turn in range(scenario.warm_ups + scenario.rounds):
            for client, worker in workers.items():
                row = rows[client]
                if row.trouble or (row.slow and row.measured):
                    continue
                await _turn(worker, scenario, row)
                if turn < scenario.warm_ups:
                    row.measured.clear()
    return rows


async def _turn(worker: Process, scenario: Scenario, row: Row) -> None:
    began = anyio.current_time()
    try:
        with anyio.fail_after(scenario.limit):
            if worker.stdin is not None:
                await worker.stdin.send(b"\n")
            answer = json.loads(await _line(worker))
    except TimeoutError:
        worker.kill()
        row.trouble = f"collapsed: more than {scenario.limit:g} s"
        return
    except (anyio.BrokenResourceError, anyio.IncompleteRead):
        row.trouble = (
            f"FAILED: its process ended; run python -m benchmarks.worker {scenario.title!r} to see why"
        )
        return
    row.slow = anyio.current_time() - began > _PATIENCE
    if "error" in answer:
        row.trouble = f"FAILED: {answer['error']}"
        return
    row.measured.append(answer["measured"])


@asynccontextmanager
async def _process(module: str, *arguments: str, env: dict[str, str] | None = None) -> AsyncIterator[Process]:
    # Workers are mute: some libraries leave tracebacks behind when the event loop ends. What counts they answer.
    async with await anyio.open_process(
        [sys.executable, "-m", module, *arguments], stderr=DEVNULL if env else None, env=env
    ) as process:
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()


async def _line(process: Process) -> bytes:
    if process.stdout is None:
        raise RuntimeError("the process has no output")
    return await BufferedByteReceiveStream(process.stdout).receive_until(b"\n", _LINE)
