"""Notify: what a notification costs whoever triggers it, and how fast one worker delivers, wakes and routes."""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable

import anyio
from anyio import to_thread
from sqlalchemy import Connection, Engine, create_engine, func, select
from sqlalchemy.orm import Session

import chimeway
import jobs
from benchmarks.promises.place import ON_POSTGRESQL, Place, place
from benchmarks.runners.note import Note
from benchmarks.scenario import Scenario, Target
from chimeway import store
from chimeway.migrations import TRACK
from chimeway.tables import deliveries, fanouts, runs, signals
from jobs.broker import runtime
from jobs.migrate import upgrade
from soak.moved_clock import ClockMover

_ACTORS = "benchmarks.notify_actors"
#: Recipients of one trigger, and of those that are waited for until they are delivered.
_RECIPIENTS = 10_000
#: Deliveries and plain jobs, and waits and signals, that are taken the time of.
_MANY, _WAITS = 1000, 500
#: Triggers and signals one at a time; the first ones pay for what is opened once.
_ONE_BY_ONE, _FIRST, _BREAK = 110, 10, 0.02
#: Longer than the wait of the notifier.
_HOURS = 3


async def fan_out(client: str, url: str) -> dict[str, float]:
    """Trigger for many recipients in a host's transaction; one worker plans them, and delivers."""
    with place(client, url, _ACTORS) as opened:
        engine = _set_up()
        before = _peak()
        people = [str(number) for number in range(_RECIPIENTS)]

        def trigger() -> float:
            with Session(engine) as session:
                began = time.monotonic()
                opened.actors.Told.trigger(people, {}, session=session)
                session.commit()
                return 1000 * (time.monotonic() - began)

        seconds = await to_thread.run_sync(trigger)
        grown = _peak() - before
        await opened.worker(opened.actors.QUEUES)
        began = time.monotonic()
        await _until(lambda connection: not _number(connection, fanouts.c.planned_at.is_(None)), 120.0)
        planned = time.monotonic() - began
        calls = await opened.until(lambda found: len(found) >= _MANY, 120.0)
        first = [note.at for note in calls[:_MANY]]
        engine.dispose()
    return {
        "transaction": seconds,
        "RSS": grown,
        "planned": planned,
        "a delivery": 1000 * (first[-1] - first[0]) / _MANY,
    }


async def beside_jobs(client: str, url: str) -> dict[str, float]:
    """Let one worker deliver, and run plain jobs: from the first call to the last."""
    with place(client, url, _ACTORS) as opened:
        _set_up().dispose()
        await jobs.asend_all(opened.actors.plain.message(number) for number in range(_MANY))
        await opened.worker(opened.actors.QUEUES)
        plain = _spread(await opened.until(lambda found: len(found) == _MANY, 120.0))
        for start in range(_MANY, 2 * _MANY, 100):
            await opened.actors.Told.atrigger([str(n) for n in range(start, start + 100)], {})
        notes = await opened.until(lambda found: len(found) == 2 * _MANY, 120.0)
        told = _spread([note for note in notes if note.number >= _MANY])
    return {"a delivery": told, "a plain job": plain, "times": told / plain}


async def latency(client: str, url: str) -> dict[str, float]:
    """Trigger one at a time, for a worker and for this process, and tell signals."""
    with place(client, url, _ACTORS) as opened:
        engine = _set_up()
        await opened.worker(opened.actors.QUEUES)
        late: list[float] = []
        queued: list[float] = []
        for number in range(_ONE_BY_ONE):
            asked, committed = await to_thread.run_sync(_trigger, opened, engine, number)
            queued.append(1000 * (committed - asked))
            begun = await opened.begun(range(number, number + 1), what="call")
            late.append(1000 * (begun[0].at - committed))
            await anyio.sleep(_BREAK)
        told = await _one_by_one(lambda n: chimeway.track("default", n, "bench.signal", {"number": n}))
        chimeway.configure(dispatcher="sync")
        here = await _one_by_one(lambda n: opened.actors.Told.trigger(str(n), {}))
        chimeway.configure(dispatcher="dramatiq")
        engine.dispose()
    figures = {"queued": queued[_FIRST:], "to the call": late[_FIRST:], "sync": here, "track": told}
    parts = {name: statistics.quantiles(values, n=100) for name, values in figures.items()}
    return {f"{name} p{part}": found[part - 1] for name, found in parts.items() for part in (50, 99)}


async def wake(client: str, url: str) -> dict[str, float]:
    """Let the waits of many runs be over at once, then let signals stop as many; one worker."""
    with place(client, url, _ACTORS) as opened:
        _set_up().dispose()
        await opened.worker(opened.actors.QUEUES)
        clock = ClockMover(opened.folder / "clock")
        expiring = await _waiting(opened, 0)
        clock.move(_HOURS * 3600.0)
        began = time.monotonic()
        await _until(lambda connection: not _waits(connection), 240.0)
        woken = time.monotonic() - began
        await _until(lambda connection: _delivered(connection) == 2 * len(expiring), 240.0)
        stopping = await _waiting(opened, _WAITS)
        began = time.monotonic()
        for number, notification_id in stopping:
            payload = {"notification_id": notification_id}
            await chimeway.atrack("default", str(number), opened.actors.READ, payload)
        await _until(lambda connection: not _unrouted(connection), 240.0)
        routed = time.monotonic() - began
    return {"a wait": 1000 * woken / _WAITS, "a signal": 1000 * routed / _WAITS}


def _set_up() -> Engine:
    used = runtime()
    upgrade(used.database(), TRACK)
    return create_engine(used.settings.database_url)


def _trigger(opened: Place, engine: Engine, number: int) -> tuple[float, float]:
    with Session(engine) as session:
        asked = time.monotonic()
        opened.actors.Told.trigger(str(number), {}, session=session)
        session.commit()
    return asked, time.monotonic()


async def _one_by_one(work: Callable[[int], object]) -> list[float]:
    taken = []
    for number in range(_ONE_BY_ONE):
        began = time.monotonic()
        await to_thread.run_sync(work, number)
        taken.append(1000 * (time.monotonic() - began))
        await anyio.sleep(_BREAK)
    return taken[_FIRST:]


async def _waiting(opened: Place, start: int) -> list[tuple[int, str]]:
    """Begin many runs, and give their numbers and notifications once all wait."""
    found: list[tuple[int, str]] = []
    for first in range(start, start + _WAITS, 100):
        numbers = range(first, first + 100)
        done = await opened.actors.Waiting.atrigger([str(number) for number in numbers], {"number": "0"})
        found += [(int(one.recipient_identity), one.notification_id) for one in done.notifications]
    await _until(lambda connection: _waits(connection) == _WAITS, 240.0)
    return found


async def _until(holds: Callable[[Connection], bool], within: float) -> None:
    with anyio.fail_after(within):
        while not await store.aread(holds):  # noqa: ASYNC110 - other processes write
            await anyio.sleep(0.1)


def _number(connection: Connection, *where: object) -> int:
    return int(connection.execute(select(func.count()).where(*where)).scalar_one())  # type: ignore[arg-type]


def _waits(connection: Connection) -> int:
    return _number(connection, runs.c.state == "waiting")


def _delivered(connection: Connection) -> int:
    return _number(connection, deliveries.c.status == "succeeded")


def _unrouted(connection: Connection) -> int:
    return _number(connection, signals.c.processed_at.is_(None))


def _spread(notes: list[Note]) -> float:
    times = sorted(note.at for note in notes)
    return 1000 * (times[-1] - times[0]) / len(times)


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


_BOTH = ("aquila", ON_POSTGRESQL)

SCENARIOS = (
    Scenario(
        title=f"notify: one trigger for {_RECIPIENTS:,} recipients in the host's transaction",
        measure=fan_out,
        clients=_BOTH,
        columns={"transaction": "ms", "RSS": "MB more", "planned": "s", "a delivery": "ms"},
        targets=tuple(Target(what="transaction", of=client, at_most=1000.0) for client in _BOTH),
        rounds=1,
        limit=300.0,
    ),
    Scenario(
        title=f"notify: {_MANY:,} deliveries, and as many plain jobs that do the same",
        measure=beside_jobs,
        clients=_BOTH,
        columns={"a delivery": "ms", "a plain job": "ms", "times": "a plain job"},
        rounds=1,
        limit=300.0,
    ),
    Scenario(
        title="notify: one at a time",
        measure=latency,
        clients=_BOTH,
        columns={
            f"{name} p{part}": "ms"
            for name in ("queued", "to the call", "sync", "track")
            for part in (50, 99)
        },
        targets=tuple(Target(what="to the call p50", of=client, at_most=30.0) for client in _BOTH),
        rounds=1,
        limit=120.0,
    ),
    Scenario(
        title=f"notify: {_WAITS} waits that are over at once, and {_WAITS} signals",
        measure=wake,
        clients=_BOTH,
        columns={"a wait": "ms", "a signal": "ms"},
        rounds=1,
        limit=400.0,
    ),
)
