"""The processes of a run: one server, and one worker for each client; none of them outlives it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from subprocess import DEVNULL

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from benchmarks.scenario import Scenario

_LINE = 1 << 20
#: A client whose run takes longer than this is not run again.
_PATIENCE = 10.0
#: Seconds that a process gets to end what it has started.
_STOP_WITHIN = 40.0


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
                _process("benchmarks.worker", scenario.module, scenario.title, client, url, env=environment)
            )
            for client in scenario.clients
        }
        for turn in range(scenario.warm_ups + scenario.rounds):
            turns = (partial(_turn, worker, scenario, rows[client]) for client, worker in workers.items())
            if scenario.together:
                async with anyio.create_task_group() as group:
                    for one in turns:
                        group.start_soon(one)
            else:
                for one in turns:
                    await one()
            if turn < scenario.warm_ups:
                for row in rows.values():
                    row.measured.clear()
    return rows


async def _turn(worker: Process, scenario: Scenario, row: Row) -> None:
    if row.trouble or (row.slow and row.measured):
        return
    began = anyio.current_time()
    try:
        with anyio.fail_after(scenario.limit):
            if worker.stdin is not None:
                await worker.stdin.send(b"\n")
            answer = json.loads(await _line(worker))
    except TimeoutError:
        await _stop(worker)
        row.trouble = f"collapsed: more than {scenario.limit:g} s"
        return
    except (anyio.BrokenResourceError, anyio.IncompleteRead):
        row.trouble = f"FAILED: its process ended; run python -m benchmarks.worker {scenario.module} {scenario.title!r} to see why"
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
            await _stop(process)


async def _stop(process: Process) -> None:
    # Politely first: what it has started ends with it then, and with nobody else.
    with anyio.CancelScope(shield=True):
        if process.returncode is None:
            process.terminate()
            with anyio.move_on_after(_STOP_WITHIN):
                await process.wait()
        if process.returncode is None:
            process.kill()


async def _line(process: Process) -> bytes:
    if process.stdout is None:
        raise RuntimeError("the process has no output")
    return await BufferedByteReceiveStream(process.stdout).receive_until(b"\n", _LINE)
