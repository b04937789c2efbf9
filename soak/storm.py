"""Sends the jobs, strikes with the faults and keeps the book that is checked at the end."""

from __future__ import annotations

import signal
import time
from collections import Counter
from dataclasses import dataclass, field

import anyio
import redis
from anyio import to_thread
from anyio.abc import TaskGroup
from sqlalchemy import Connection, select

from jobs import census
from jobs.broker import runtime
from jobs.errors import StorageError
from jobs.handle import JobHandle
from jobs.tables import jobs as rows_of_jobs
from soak.actors import advance, answer, square, squared, stay, stumble, tell
from soak.crew import LEASE, Crew, WorkerProcess
from soak.followers import Reading
from soak.host import Host
from soak.patience import patient
from soak.plan import WORKERS, Order, Wave

QUEUES = "llm=20,default=10,few=5"
#: A worker that nobody strikes, with jobs that run for three of its leases. A worker that is paused with SQLite's lock keeps it
#: from renewing for less than that.
CALM, CALM_LEASE, STAY = "calm=50", 8.0, 25.0
#: Jobs that are being sent at a time.
SENDERS = 6
#: Streams that are read at a time when everything is over, and the jobs that have one.
READERS = 24
STREAMED = frozenset({"stream", "cut", "cancelled"})
#: The longest time a worker stays dead, and how many leases at least and at most it is paused.
LONGEST_DEATH = 1.5
SHORTEST_PAUSE, LONGEST_PAUSE = 1.15, 1.8
#: Seconds that the database is away.
OUTAGE = 10.0
#: Seconds of work of a plain function.
PLAIN_WORK = 0.05


@dataclass(slots=True)
class Entry:
    """A job that was sent."""

    expected: str
    kind: str
    #: What `cancel` answered; None if it was not called, or not yet answered.
    cancelled: bool | None = None
    #: What somebody read while the job ran, and what somebody reads who comes at the end.
    live: Reading | None = None
    late: Reading | None = None
    #: On the monotonic clock.
    sent: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, slots=True)
class Kill:
    """A worker's death."""

    at: float
    pid: int
    #: The jobs it held.
    held: list[str]


@dataclass(slots=True)
class Book:
    """What happened."""

    entries: dict[str, Entry] = field(default_factory=dict)
    kills: list[Kill] = field(default_factory=list)
    facts: Counter[str] = field(default_factory=Counter)
    #: When Redis was flushed or killed, when the database was away, and when something was struck last.
    emptied: list[float] = field(default_factory=list)
    outages: list[tuple[float, float]] = field(default_factory=list)
    last_fault: float = 0.0


class Storm:
    """Two workers, and whatever may happen to them."""

    def __init__(self, crew: Crew, book: Book) -> None:
        self._crew = crew
        self._book = book
        self.workers: list[WorkerProcess] = []
        self.calm: list[WorkerProcess] = []
        self.host = Host()
        self._slots = [anyio.Lock() for _ in range(WORKERS)]
        self._senders = anyio.CapacityLimiter(SENDERS)

    async def begin(self) -> None:
        """Start the workers."""
        for _ in range(WORKERS):
            self.workers.append(await self._crew.start(queues=QUEUES))
            self._book.facts["starts"] += 1
        self.calm.append(await self._crew.start(queues=CALM, lease=CALM_LEASE))

    async def rage(self, waves: list[Wave]) -> None:
        """Send every job and strike with every fault, then wait for the readers and the cancellations."""
        async with anyio.create_task_group() as group:
            for wave in waves:
                for order in wave.orders:
                    group.start_soon(self._see_to, order, group)
                await anyio.sleep(wave.strike_after)
                group.start_soon(self._strike, wave)
                await anyio.sleep(wave.rest)
            self._book.facts["calm"] = 1

    async def read_again(self) -> None:
        """Read every live stream of the storm once more, from its beginning."""
        limiter = anyio.CapacityLimiter(READERS)

        async def read(reading: Reading, seed: int) -> None:
            async with limiter:
                await reading.run(seed)

        async with anyio.create_task_group() as group:
            for number, (job_id, entry) in enumerate(self._book.entries.items()):
                if entry.kind in STREAMED:
                    entry.late = Reading(job_id, entry.sent)
                    group.start_soon(read, entry.late, number)

    async def _see_to(self, order: Order, group: TaskGroup) -> None:
        if order.kind == "undone":
            await self.host.roll_back(order.number, PLAIN_WORK)
            return
        async with self._senders:
            handle = await self._send(order)
        expected = "".join(answer(order.prompt)) if order.prompt is not None else squared(order.number)
        entry = self._book.entries[handle.job_id] = Entry(expected, order.kind)
        if order.reader is not None:
            entry.live = Reading(handle.job_id, entry.sent)
            group.start_soon(entry.live.run, order.reader)
        if order.cancel_after is not None:
            await anyio.sleep(order.cancel_after)
            entry.cancelled = await self._cancel(handle)

    async def _cancel(self, handle: JobHandle) -> bool:
        try:
            return await handle.acancel()
        except StorageError:
            # It may have been committed all the same.
            again = await patient(handle.acancel)
            return again or await patient(handle.astatus) == "cancelled"

    async def _send(self, order: Order) -> JobHandle:
        if order.kind == "committed":
            return await self.host.commit(order.number, PLAIN_WORK)
        if order.kind == "unique":
            return await self.host.rival(order.number, PLAIN_WORK)
        return await patient(self._send_plainly, order)

    async def _send_plainly(self, order: Order) -> JobHandle:
        if order.prompt is not None:
            mood = "cut" if order.kind == "cut" else "flaky"
            return await tell.options(delay=order.delay).asend(order.prompt, mood)
        if order.kind == "stumble":
            return await stumble.asend(order.number)
        if order.kind == "steps":
            return await advance.asend(order.number)
        if order.kind == "stay":
            return await stay.asend(order.number, STAY)
        return await square.options(delay=order.delay).asend(order.number, PLAIN_WORK)

    async def _strike(self, wave: Wave) -> None:
        match wave.fault:
            case "flush" | "kill valkey":
                await to_thread.run_sync(self._flush if wave.fault == "flush" else self._kill_valkey)
            case "outage":
                await self._outage()
            case "kill both":
                async with anyio.create_task_group() as group:
                    for slot in range(WORKERS):
                        group.start_soon(self._kill, slot, wave.length)
            case "kill":
                await self._kill(wave.slot, wave.length)
            case "terminate":
                await self._terminate(wave.slot)
            case "pause":
                await self._pause(wave.slot, wave.length)
        self._book.last_fault = time.monotonic()

    async def _outage(self) -> None:
        if self._crew.postgres is None:
            return
        began = time.monotonic()
        await to_thread.run_sync(self._crew.postgres.kill)
        await anyio.sleep(OUTAGE)
        await to_thread.run_sync(self._crew.postgres.start)
        self._book.outages.append((began, time.monotonic()))
        self._book.facts["outage of the database"] += 1

    async def _kill(self, slot: int, length: float) -> None:
        async with self._slots[slot]:
            worker = self.workers[slot]
            self._crew.note_if_gone(worker)
            worker.kill()
            at, pid = time.monotonic(), worker.process.pid
            held = await patient(runtime().database().aread, _held_by, pid)
            self._book.kills.append(Kill(at, pid, held))
            self._book.facts["kill -9 of a worker"] += 1
            await anyio.sleep(length * LONGEST_DEATH)
            await self._replace(slot)

    async def _terminate(self, slot: int) -> None:
        async with self._slots[slot]:
            self._crew.note_if_gone(self.workers[slot])
            await self.workers[slot].terminate()
            self._book.facts["SIGTERM of a worker"] += 1
            await self._replace(slot)

    async def _pause(self, slot: int, length: float) -> None:
        async with self._slots[slot]:
            worker = self.workers[slot]
            self._crew.note_if_gone(worker)
            worker.process.send_signal(signal.SIGSTOP)
            await anyio.sleep(LEASE * (SHORTEST_PAUSE + length * (LONGEST_PAUSE - SHORTEST_PAUSE)))
            worker.process.send_signal(signal.SIGCONT)
            self._book.facts["SIGSTOP beyond the lease"] += 1

    async def _replace(self, slot: int) -> None:
        self.workers[slot] = await self._crew.start(queues=QUEUES)
        self._book.facts["starts"] += 1

    def _flush(self) -> None:
        moment = time.monotonic()
        try:
            runtime().wire().client.flushall()
        except redis.RedisError:
            self._book.facts["FLUSHALL while Valkey was away"] += 1
            return
        self._book.emptied.append(moment)
        self._book.facts["FLUSHALL"] += 1

    def _kill_valkey(self) -> None:
        moment = time.monotonic()
        if self._crew.kill_valkey():
            self._book.emptied.append(moment)
            self._book.facts["kill -9 of Valkey"] += 1


def _held_by(connection: Connection, pid: int) -> list[str]:
    workers = [worker.worker_id for worker in census.alive(connection) if worker.pid == pid]
    query = select(rows_of_jobs.c.id).where(
        rows_of_jobs.c.state == "executing", rows_of_jobs.c.worker_id.in_(workers)
    )
    return [str(job_id) for job_id in connection.scalars(query)]
