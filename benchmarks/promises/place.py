"""A place for a promise: servers, workers that may be killed and paused, and what their jobs noted."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from itertools import count
from pathlib import Path
from types import ModuleType

import anyio

import jobs
from benchmarks.runners.note import POSTGRES, REDIS, Note, notes
from benchmarks.runners.stage import READY_WITHIN, end, servers, start
from benchmarks.tally import BrokenClientError
from jobs.database import Database
from jobs.migrate import upgrade
from jobs.settings import sync_url

#: The name of the client that has its rows in PostgreSQL.
ON_POSTGRESQL = "aquila, PostgreSQL"
ACTORS = "benchmarks.promises.actors"


@dataclass(slots=True)
class Place:
    """The servers of one measurement, and its workers."""

    folder: Path
    actors: ModuleType
    _workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=count)

    async def worker(self, queues: str = "bench=50", *, lease: float = 15.0) -> subprocess.Popen[bytes]:
        """Start a worker; it is ready when this ends.

        Raises:
            BrokenClientError: It does not get ready.
        """
        log = self.folder / f"worker-{next(self._numbers)}.log"
        command = [sys.executable, "-m", "aquila.cli", "worker", self.actors.__name__, "--queues", queues]
        process = start([*command, "--lease", str(lease), "--grace", "0.5"], log)
        self._workers.append(process)
        with anyio.move_on_after(READY_WITHIN):
            while "worker ready" not in log.read_text() and process.poll() is None:  # noqa: ASYNC110 - another process
                await anyio.sleep(0.02)
        if "worker ready" not in log.read_text():
            raise BrokenClientError(f"a worker is not ready: {log.read_text()[-500:]}")
        return process

    def noted(self) -> list[Note]:
        """Give what the jobs noted so far."""
        return list(notes(self.folder / "notes"))

    async def until(self, holds: Callable[[list[Note]], bool], within: float = 60.0) -> list[Note]:
        """Wait until the notes are as wanted, and give them."""
        with anyio.fail_after(within):
            while not holds(found := self.noted()):  # noqa: ASYNC110 - other processes note
                await anyio.sleep(0.01)
        return found

    async def begun(self, numbers: range, *, by: int | None = None, what: str = "begin") -> list[Note]:
        """Wait until each of some jobs has begun; give those notes.

        Args:
            numbers: The jobs.
            by: The process that must have begun them; None for any.
            what: How their beginning is noted.
        """

        def those(found: list[Note]) -> list[Note]:
            return [n for n in found if n.what == what and n.number in numbers and by in {None, n.pid}]

        return those(await self.until(lambda found: len({n.number for n in those(found)}) == len(numbers)))

    def kill(self, pid: int) -> None:
        """Kill the worker that is this process."""
        for process in self._workers:
            if process.pid == pid:
                process.kill()

    def close(self) -> None:
        """End every worker."""
        for process in self._workers:
            # It may be paused, and is of no use any more.
            process.kill()
            end(process)


@contextmanager
def place(client: str, url: str, actors: str = ACTORS) -> Iterator[Place]:
    """Open a place, with this process's jobs in it.

    Args:
        client: Where the rows are: `ON_POSTGRESQL`, anything else is SQLite.
        url: The server that streams.
        actors: The module that the workers run.

    Yields:
        The place.
    """
    with servers(postgresql=client == ON_POSTGRESQL) as folder:
        os.environ["AQUILA_REDIS_URL"] = os.environ[REDIS]
        os.environ["BENCH_BASE_URL"], os.environ["BENCH_GO"] = url, str(folder / "go")
        if client == ON_POSTGRESQL:
            os.environ["AQUILA_DATABASE_URL"] = os.environ[POSTGRES]
            upgrade(Database(sync_url(os.environ[POSTGRES])))
        # They read the environment.
        opened = Place(folder, import_module(actors))
        try:
            yield opened
        finally:
            opened.close()
            jobs.close()
