"""The processes of a soak: workers as a user starts them, and the embedded Valkey; none of them outlives it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import anyio
from anyio import to_thread

import jobs
from aquila.server_folder import ServerFolder
from aquila.shared_server import status, stop
from jobs.embedded import SERVER_NAME
from soak.actors import STUMBLE
from tests.job_postgres import Postgres

ROOT = Path(__file__).resolve().parent.parent
#: Short, so that a run sees many leases run out.
LEASE = 2.0
GRACE = 0.5
#: Seconds a worker may take to get ready, and to stop, on a busy machine.
READY_WITHIN = 40.0
STOP_WITHIN = 30.0
#: What a worker says that cannot start because Valkey or the database has just been killed.
AWAY = ("does not answer", "cannot be used", "is away")


class SoakError(Exception):
    """The soak itself cannot go on."""


@dataclass(slots=True)
class WorkerProcess:
    """One worker and its log."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def said(self) -> str:
        """Everything it has printed."""
        return self.log.read_text(errors="replace")

    @property
    def alive(self) -> bool:
        """Whether it runs, or is paused."""
        return self.process.poll() is None

    @property
    def last_words(self) -> str:
        """The last line it has printed."""
        return (self.said.strip().splitlines() or ["it said nothing"])[-1]

    def kill(self) -> None:
        """End it with SIGKILL, paused or not."""
        if self.alive:
            self.process.kill()
        self.process.wait()

    async def terminate(self) -> None:
        """Ask it to stop and wait until it has."""
        self.process.send_signal(signal.SIGTERM)
        await to_thread.run_sync(self.process.wait, STOP_WITHIN)


@dataclass(slots=True)
class Crew:
    """Starts the workers and ends everything."""

    folder: Path
    state_dir: Path
    #: What the workers run.
    module: str = "soak.actors"
    #: None: the rows are in a SQLite file.
    postgres: Postgres | None = None
    workers: list[WorkerProcess] = field(default_factory=list)
    #: Starts that had to be repeated because Valkey or the database was away.
    repeated: int = 0
    #: What workers said that ended although nobody ended them.
    deserters: list[str] = field(default_factory=list)

    async def start(self, *, queues: str, lease: float = LEASE) -> WorkerProcess:
        """Start a worker and wait until it is ready.

        Raises:
            SoakError: It does not get ready.
        """
        deadline = time.monotonic() + READY_WITHIN
        while True:
            worker = self._spawn(queues, lease)
            while worker.alive and "worker ready" not in worker.said:
                if time.monotonic() > deadline:
                    raise SoakError(f"a worker is not ready after {READY_WITHIN:g} s: {worker.last_words}")
                await anyio.sleep(0.05)
            if worker.alive:
                return worker
            if not any(words in worker.last_words for words in AWAY):
                raise SoakError(f"a worker does not start: {worker.last_words}")
            self.repeated += 1

    def _spawn(self, queues: str, lease: float) -> WorkerProcess:
        log = self.folder / f"worker-{len(self.workers)}.log"
        # A session of its own, so that Ctrl-C reaches this process alone, which then ends the workers.
        command = [sys.executable, "-m", "aquila.cli", "worker", self.module, "--queues", queues]
        command += ["--lease", str(lease), "--grace", str(GRACE)]
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                start_new_session=True,
            )
        worker = WorkerProcess(process, log)
        self.workers.append(worker)
        return worker

    def note_if_gone(self, worker: WorkerProcess) -> None:
        """Note a worker that should live and does not."""
        if not worker.alive:
            self.deserters.append(
                f"{worker.log.name} ended with {worker.process.poll()}: {worker.last_words}"
            )

    def tracebacks(self) -> list[str]:
        """Give the workers that printed a traceback which no actor was told to cause, with its last line."""
        found = []
        for worker in self.workers:
            for rest in worker.said.split("Traceback (most recent call last)")[1:]:
                cause = next(
                    (line.strip() for line in rest.splitlines()[1:] if line and line[0] not in " +|"), "cut"
                )
                if STUMBLE not in cause:
                    found.append(f"{worker.log.name}: {cause}")
        return found

    def kill_valkey(self) -> bool:
        """End the Valkey server with SIGKILL; False if it does not run just now."""
        address = status(SERVER_NAME, self.state_dir)
        if address is None:
            return False
        try:
            os.kill(address["server"], signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True

    def end(self) -> None:
        """End every process and close what this one has opened."""
        for worker in self.workers:
            worker.kill()
        jobs.close()
        if self.postgres is not None:
            self.postgres.close()
        server = ServerFolder(self.state_dir / SERVER_NAME)
        # A worker that was killed may have started a supervisor in its last moment: that one is waited for.
        give_up = time.monotonic() + STOP_WITHIN
        while stop(SERVER_NAME, self.state_dir, force=True) and _lives(server) and time.monotonic() < give_up:
            time.sleep(0.1)
        # A killed Valkey leaves its socket's folder for the next one, and there is none.
        link = server.path / "socket"
        if link.is_symlink():
            shutil.rmtree(link.readlink(), ignore_errors=True)


def processes_left(folder: Path) -> list[str]:
    """Give the other processes that name or stand in the soak's folder; Linux only, else none."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            said = (entry / "cmdline").read_bytes().decode(errors="replace").replace("\x00", " ")
            place = (entry / "cwd").readlink()
        except OSError:
            # It ended between two looks, or is somebody else's.
            continue
        inside = str(folder) in said or place.is_relative_to(folder)
        if inside and int(entry.name) != os.getpid():
            found.append(f"{entry.name} {said}")
    return found


def _lives(server: ServerFolder) -> bool:
    return server.owner_id() is not None or server.server_group() is not None
