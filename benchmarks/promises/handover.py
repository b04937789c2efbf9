"""From a host's commit to the actor's first line, and how fast the relay carries rows that nobody has handed over."""

from __future__ import annotations

import statistics
import threading
import time
from functools import partial

import anyio
from anyio import to_thread
from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session

import jobs
from benchmarks.promises.place import ON_POSTGRESQL, place
from benchmarks.scenario import Scenario, Target
from benchmarks.tally import BrokenClientError
from jobs import relay, rows
from jobs.broker import runtime
from jobs.new_job import NewJob

_COMMITS, _BREAK = 45, 0.08
_ROWS = 10_000
#: Rows that two relays share; they are counted and not timed.
_SHARED = 4000


async def first_line(client: str, url: str) -> dict[str, float]:
    """Enqueue in transactions of a host's own, one at a time; the commit itself is part of the time."""
    with place(client, url) as opened:
        await opened.worker()
        engine = create_engine(runtime().settings.database_url)
        late = []
        for number in range(_COMMITS):
            asked = await to_thread.run_sync(_commit, engine, opened.actors.work.message(number, 0.0))
            begun = await opened.begun(range(number, number + 1))
            late.append(1000 * (begun[0].at - asked))
            await anyio.sleep(_BREAK)
        engine.dispose()
    # The first ones pay for what is opened once.
    parts = statistics.quantiles(late[10:], n=20)
    return {"p50": parts[9], "p95": parts[18], "max": max(late)}


def _commit(engine: Engine, message: NewJob) -> float:
    with Session(engine) as session:
        jobs.enqueue(session, message)
        asked = time.monotonic()
        session.commit()
    return asked


async def carry(client: str, url: str) -> dict[str, float]:
    """Let a relay carry rows of which no message is on the wire.

    Raises:
        BrokenClientError: A row is not on the wire, or twice.
    """
    with place(client, url) as opened:
        used = runtime()
        database, wire = used.database(), used.wire()
        _add(opened.actors.work, _ROWS)
        began, cpu = time.monotonic(), time.process_time()
        await to_thread.run_sync(relay.relay, database, wire)
        seconds, cpu = time.monotonic() - began, time.process_time() - cpu
        _add(opened.actors.work, _SHARED)
        both = [threading.Thread(target=partial(relay.relay, database, wire)) for _ in range(2)]
        for one in both:
            one.start()
        for one in both:
            await to_thread.run_sync(one.join)
        there = wire.client.lrange(f"{wire.namespace}:bench", 0, -1)
    if not len(there) == len(set(there)) == _ROWS + _SHARED:
        raise BrokenClientError(
            f"{_ROWS + _SHARED} rows are {len(there)} messages, {len(set(there))} different ones"
        )
    return {"a row": 1e6 * seconds / _ROWS, "CPU": 1e6 * cpu / _ROWS, "twice": 0.0}


def _add(actor: jobs.Actor[..., object], number: int) -> None:
    runtime().database().write(rows.add_all, [actor.message(n, 0.0) for n in range(number)])


_BOTH = ("aquila", ON_POSTGRESQL)

SCENARIOS = (
    Scenario(
        title="promise: from the commit of the host's transaction to the actor's first line",
        measure=first_line,
        clients=_BOTH,
        columns={"p50": "ms", "p95": "ms", "max": "ms"},
        targets=tuple(Target(what="p50", of=client, at_most=30.0) for client in _BOTH),
        rounds=1,
    ),
    Scenario(
        title=f"promise: one relay carries {_ROWS:,} rows of PostgreSQL to the wire, each once",
        measure=carry,
        clients=(ON_POSTGRESQL,),
        columns={"a row": "us", "CPU": "us a row", "twice": "rows"},
        # 10,000 rows a second.
        targets=(
            Target(what="a row", of=ON_POSTGRESQL, at_most=100.0),
            Target(what="twice", of=ON_POSTGRESQL, at_most=0),
        ),
        rounds=1,
    ),
)
