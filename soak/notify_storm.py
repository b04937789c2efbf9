"""The storm of the soak of notifications: hosts that trigger, workers that are killed and paused, a clock that is moved."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import redis
from anyio import to_thread

from jobs.broker import runtime
from soak.crew import LEASE, ROOT, Crew, WorkerProcess
from soak.moved_clock import ClockMover, machine_time
from soak.notifiers import FOLDER
from soak.notify_verdict import Kill
from soak.quiet import footprint

QUEUES = "chimeway_delivery=20,chimeway_signals=10,chimeway_workflows=5"
WORKERS, HOSTS = 2, 2
#: Notifications of all hosts together in a second.
PACE = 150.0
#: Seconds between two faults, the part of them that are kills, the longest death and the longest pause.
CALMEST, WILDEST, KILLS, LONGEST_DEATH = 8.0, 4.0, 0.7, 1.0
SHORTEST_PAUSE, LONGEST_PAUSE = 1.2, 2.0
#: Seconds between two moves of the clock, and by how many minutes it goes forward; once it goes back.
MOVE_EVERY, FORWARD, BACK = (4.0, 8.0), (40.0, 130.0), 7.0


@dataclass(slots=True)
class Facts:
    """What was done to them."""

    counts: Counter[str] = field(default_factory=Counter)
    kills: list[Kill] = field(default_factory=list)
    rss: float = 0.0


@dataclass(slots=True)
class HostProcess:
    """A host and what it says."""

    process: subprocess.Popen[bytes]
    log: Path


class Storm:
    """Workers, hosts, and whatever may happen to the workers."""

    def __init__(self, crew: Crew, count: int, seed: int) -> None:
        self._crew, self._count = crew, count
        self._chance = random.Random(seed)  # noqa: S311 - it must be repeatable, it hides nothing
        self.facts = Facts()
        self.clock = ClockMover(crew.folder / "clock")
        self.hosts: list[HostProcess] = []
        self.workers: list[WorkerProcess] = []
        self._slots = [anyio.Lock() for _ in range(WORKERS)]
        self._calm = anyio.Event()

    @property
    def seconds(self) -> float:
        """How long the hosts trigger."""
        return self._count / PACE

    async def begin(self) -> None:
        """Start workers and hosts."""
        for _ in range(WORKERS):
            self.workers.append(await self._crew.start(queues=QUEUES))
            self.facts.counts["starts"] += 1
        for number in range(HOSTS):
            self.hosts.append(self._host(number))

    async def rage(self) -> None:
        """Strike until told to calm down."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._strike_servers)
            while not self._calm.is_set():
                with anyio.move_on_after(self._chance.uniform(WILDEST, CALMEST)):
                    await self._calm.wait()
                    return
                slot = self._chance.randrange(WORKERS)
                strike = self._kill if self._chance.random() < KILLS else self._pause
                group.start_soon(strike, slot, self._chance.random())

    def calm_down(self) -> None:
        """Leave the workers alone from now on."""
        self._calm.set()

    async def move_clock(self) -> None:
        """Move the clock on, for ever; once back."""
        number = 0
        while True:
            await anyio.sleep(self._chance.uniform(*MOVE_EVERY))
            number += 1
            back = number == 3  # noqa: PLR2004 - the third
            self.clock.move(60.0 * (-BACK if back else self._chance.uniform(*FORWARD)))
            self.facts.counts["clock moved back" if back else "clock moved on"] += 1

    def look(self) -> None:
        """See how large the workers are."""
        for worker in self.workers:
            if worker.alive:
                self.facts.rss = max(self.facts.rss, footprint(worker.process.pid)[0] or 0.0)

    def hosts_done(self) -> bool:
        """Say whether all hosts have ended; notes those that failed."""
        ended = [host for host in self.hosts if host.process.poll() is not None]
        return len(ended) == len(self.hosts)

    def end(self) -> None:
        """End the hosts."""
        for host in self.hosts:
            if host.process.poll() is None:
                host.process.kill()
            host.process.wait()

    def _host(self, number: int) -> HostProcess:
        log = self._crew.folder / f"host-{number}.log"
        arguments = [str(number), str(HOSTS), str(self._count), str(self.seconds)]
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "soak.notify_host", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._crew.folder,
                env={**os.environ, "PYTHONPATH": str(ROOT), FOLDER: str(self._crew.folder)},
                start_new_session=True,
            )
        return HostProcess(process, log)

    async def _strike_servers(self) -> None:
        for part, strike in ((0.35, self._flush), (0.3, self._kill_valkey)):
            with anyio.move_on_after(part * self.seconds):
                await self._calm.wait()
            await to_thread.run_sync(strike)

    async def _kill(self, slot: int, length: float) -> None:
        async with self._slots[slot]:
            worker = self.workers[slot]
            self._crew.note_if_gone(worker)
            worker.kill()
            self.facts.kills.append(Kill(machine_time(), worker.process.pid))
            self.facts.counts["kill -9 of a worker"] += 1
            await anyio.sleep(length * LONGEST_DEATH)
            self.workers[slot] = await self._crew.start(queues=QUEUES)
            self.facts.counts["starts"] += 1

    async def _pause(self, slot: int, length: float) -> None:
        async with self._slots[slot]:
            worker = self.workers[slot]
            self._crew.note_if_gone(worker)
            worker.process.send_signal(signal.SIGSTOP)
            await anyio.sleep(LEASE * (SHORTEST_PAUSE + length * (LONGEST_PAUSE - SHORTEST_PAUSE)))
            # What it was sending is beyond its lease, on the moved clock.
            self.clock.move(60.0 * FORWARD[0])
            self.facts.counts["clock moved on"] += 1
            await anyio.sleep(LEASE)
            worker.process.send_signal(signal.SIGCONT)
            self.facts.counts["SIGSTOP beyond the lease"] += 1

    def _flush(self) -> None:
        try:
            runtime().wire().client.flushall()
        except redis.RedisError:
            self.facts.counts["FLUSHALL while Valkey was away"] += 1
            return
        self.facts.counts["FLUSHALL"] += 1

    def _kill_valkey(self) -> None:
        deadline = time.monotonic() + 5.0
        while not self._crew.kill_valkey() and time.monotonic() < deadline:
            time.sleep(0.1)
        self.facts.counts["kill -9 of Valkey"] += 1
