"""A worker that is killed, and one that is paused for longer than its lease and goes on."""

from __future__ import annotations

import signal
import sqlite3
import time
from collections import Counter
from contextlib import closing, suppress
from subprocess import Popen

import anyio
from sqlalchemy import Connection, func, select

import jobs
from benchmarks.promises.place import ON_POSTGRESQL, Place, place
from benchmarks.scenario import Scenario, Target
from benchmarks.tally import BrokenClientError
from jobs.broker import runtime
from jobs.handle import JobHandle
from jobs.tables import jobs as rows
from jobs.tables import steps

#: Each with its lease, and the seconds within which a job of a killed worker runs again.
_LEASES = {"aquila": (15.0, 20.0), "aquila, lease 5 s": (5.0, 6.0)}
#: Of the queue with a limit for the fleet, all of whose places one worker has: within the lease and a look of the others',
#: who look once in a third of it.
_PLACES, _PLACES_LEASE = "aquila, its places, lease 2 s", 2.0
_PLACES_WITHIN = _PLACES_LEASE * 4 / 3 + 0.2
_PAUSED_LEASE, _JOBS = 2.0, 20


async def kill(client: str, url: str) -> dict[str, float]:
    """Kill a worker soon after it has begun a job, when its lease is still long."""
    with place(client, url) as opened:
        if client == _PLACES:
            return {"again": await _places_free_again(opened)}
        lease, _ = _LEASES[client]
        for _ in range(2):
            await opened.worker(lease=lease)
        await opened.actors.work.asend(0, 120.0)
        victim = (await opened.begun(range(1)))[0].pid
        return {"again": await _begun_elsewhere(opened, victim, 1)}


async def _places_free_again(opened: Place) -> float:
    few = opened.actors.FEW
    holder = await opened.worker(f"few={few}", lease=_PLACES_LEASE)
    # Twice as many: the others wait for a place, and need no row to be repaired.
    await jobs.asend_all([opened.actors.limited.message(number, 60.0) for number in range(2 * few)])
    await opened.until(lambda notes: len(notes) == few)
    await opened.worker(f"few={few}", lease=_PLACES_LEASE)
    return await _begun_elsewhere(opened, holder.pid, few)


async def _begun_elsewhere(opened: Place, victim: int, number: int) -> float:
    killed = time.monotonic()
    opened.kill(victim)
    begun = await opened.until(lambda notes: sum(note.pid != victim for note in notes) >= number)
    return max(note.at for note in begun if note.pid != victim) - killed


async def pause(client: str, url: str) -> dict[str, float]:
    """Pause a worker until another one has its jobs, and count what the first one still gets stored.

    Raises:
        BrokenClientError: Something was stored, or nothing was tried.
    """
    with place(client, url) as opened:
        paused = await opened.worker(lease=_PAUSED_LEASE)
        numbers = range(_JOBS)
        handles = await jobs.asend_all([opened.actors.outlive.message(number) for number in numbers])
        await opened.begun(numbers, by=paused.pid, what="begin1")
        await opened.worker(lease=_PAUSED_LEASE)
        await _pause_between_writes(paused)
        await opened.begun(numbers, what="begin2")
        await anyio.to_thread.run_sync((opened.folder / "go").touch)
        paused.send_signal(signal.SIGCONT)
        await opened.begun(numbers, by=paused.pid, what="end1")
        for handle in handles:
            await handle.aresult(timeout=60.0)
        said = Counter(note.what for note in opened.noted())
        stored = Counter[str]()
        for handle in handles:
            stored += await _stale_writes(handle)
    tried = 2 * _JOBS * opened.actors.STALE_ROUNDS
    if stored or said["refused1"] != tried or said["refused2"]:
        raise BrokenClientError(
            f"of the stale attempts' writes {dict(stored)} are stored, {said['refused1']} of {tried} were refused; "
            f"of the new ones' {said['refused2']}"
        )
    return {"stored": float(stored.total()), "refused": float(tried)}


async def _pause_between_writes(paused: Popen[bytes]) -> None:
    # One that stops in the middle of a write holds SQLite's only lock, or its rows on PostgreSQL: nobody gets its jobs then.
    while True:
        paused.send_signal(signal.SIGSTOP)
        if await anyio.to_thread.run_sync(_is_free):
            return
        paused.send_signal(signal.SIGCONT)
        await anyio.sleep(0.05)


def _is_free() -> bool:
    database = runtime().database()
    if database.locks_rows:
        return database.write(_unlocked) == _JOBS
    file = sqlite3.connect(database.engine.url.database or "", timeout=0.2, isolation_level=None)
    with closing(file), suppress(sqlite3.OperationalError):
        file.execute("BEGIN IMMEDIATE")
        return True
    return False


def _unlocked(connection: Connection) -> int:
    query = select(rows.c.id).where(rows.c.state == "executing")
    return len(list(connection.scalars(query.with_for_update(skip_locked=True))))


async def _stale_writes(handle: JobHandle) -> Counter[str]:
    """Count what there is of a job's first attempt, all of whose writes came when it was stale."""
    job = await handle.ajob()
    found = Counter(
        row=int(job.result == "attempt 1"),
        progress=sum(name == "progress-1" for name in job.metadata),
        steps=await runtime().database().aread(_steps_of_the_first, handle.job_id),
    )
    latest = 0
    async with jobs.follow(handle.job_id) as events:
        async for event in events:
            latest = max(latest, event.attempt)
            # The beginning of the first attempt was said in time.
            found["stream"] += event.attempt < latest or (event.attempt == 1 and event.type != "attempt")
    return +found


def _steps_of_the_first(connection: Connection, job_id: str) -> int:
    mine = (steps.c.job_id == job_id) & ((steps.c.epoch == 1) | steps.c.name.startswith("step-1-"))
    return connection.execute(select(func.count()).where(mine)).scalar_one()


SCENARIOS = (
    Scenario(
        title="promise: after kill -9 of a worker, its job runs again; after that of one with all places, others have them",
        measure=kill,
        clients=(*_LEASES, _PLACES),
        columns={"again": "s"},
        targets=(
            *(Target(what="again", of=name, at_most=within) for name, (_, within) in _LEASES.items()),
            Target(what="again", of=_PLACES, at_most=_PLACES_WITHIN),
        ),
        rounds=1,
        together=True,
    ),
    Scenario(
        title=f"promise: writes of {_JOBS} attempts that were paused for longer than their lease and go on",
        measure=pause,
        clients=("aquila", ON_POSTGRESQL),
        columns={"stored": "writes", "refused": "writes"},
        targets=tuple(Target(what="stored", of=client, at_most=0) for client in ("aquila", ON_POSTGRESQL)),
        rounds=1,
        together=True,
    ),
)
