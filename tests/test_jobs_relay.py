from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from job_rows import add, claim, read
from job_workers import TESTS, Valkey
from sqlalchemy import Connection, func, insert, select

from jobs import relay, rows
from jobs.database import Database
from jobs.new_job import NewJob
from jobs.rows import new_id
from jobs.sqltypes import db_now
from jobs.tables import jobs
from jobs.wire import Wire

pytest_plugins = ["job_fixtures"]


@pytest.fixture
def wire(shared_valkey: Valkey) -> Iterator[Wire]:
    opened = Wire(shared_valkey.url, database_id=new_id(), lease=5.0, middleware=())
    yield opened
    opened.close()


def new(priority: int = 0) -> NewJob:
    return NewJob(
        job_id=new_id(),
        actor_name="add",
        queue_name="default",
        arguments={"args": [1, 2], "kwargs": {}},
        metadata={},
        priority=priority,
        max_attempts=1,
        cassette=None,
    )


def add_many(database: Database, number: int) -> list[str]:
    def write(connection: Connection, many: Sequence[NewJob]) -> None:
        moments = {"scheduled_at": db_now(), "created_at": db_now()}
        connection.execute(insert(jobs).values(moments), [one.columns() for one in many])

    many = [new() for _ in range(number)]
    for start in range(0, number, 1000):
        database.write(write, many[start : start + 1000])
    return [one.job_id for one in many]


def on(wire: Wire, queue: str = "default") -> list[str]:
    return [redis_id.decode() for redis_id in wire.client.lrange(f"{wire.namespace}:{queue}", 0, -1)]


def unpublished(database: Database) -> int:
    count = select(func.count()).select_from(jobs).where(jobs.c.published_at.is_(None))
    return database.read(lambda connection: int(connection.execute(count).scalar_one()))


def test_ten_thousand_rows_are_each_once_on_the_wire(database: Database, wire: Wire) -> None:
    ids = add_many(database, 10_000)

    assert relay.relay(database, wire) == 10_000

    assert sorted(on(wire)) == sorted(f"{job_id}.1" for job_id in ids)
    assert unpublished(database) == 0
    assert relay.relay(database, wire) == 0


def test_two_relays_at_once_share_the_work(
    database: Database, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "BATCH", 50)
    ids = add_many(database, 2000)
    ready = threading.Barrier(2)

    def run(_: int) -> int:
        ready.wait()
        return relay.relay(database, wire)

    with ThreadPoolExecutor(2) as pool:
        counts = list(pool.map(run, range(2)))

    assert sorted(on(wire)) == sorted(f"{job_id}.1" for job_id in ids)
    assert unpublished(database) == 0
    if database.locks_rows:
        assert sum(counts) == 2000
        assert min(counts) > 0


KILLED = """
import os, signal, sys
from jobs import relay
from jobs.database import Database
from jobs.wire import Wire

class Killed(Wire):
    def publish(self, many):
        super().publish(many)
        os.kill(os.getpid(), signal.SIGKILL)

relay.BATCH = 50
database_url, redis_url, database_id = sys.argv[1:]
relay.relay(Database(database_url), Killed(redis_url, database_id=database_id, lease=5.0, middleware=()))
"""


def test_a_relay_that_is_killed_before_it_has_noted_what_it_sent_sends_nothing_twice(
    database: Database, shared_valkey: Valkey
) -> None:
    database_id = new_id()
    wire = Wire(shared_valkey.url, database_id=database_id, lease=5.0, middleware=())
    ids = add_many(database, 120)

    where = [database.engine.url.render_as_string(hide_password=False), shared_valkey.url, database_id]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, *where],
        check=False,
        env={**os.environ, "PYTHONPATH": str(TESTS.parent)},
        timeout=30,
    )

    assert done.returncode == -signal.SIGKILL
    assert len(on(wire)) == 50
    assert unpublished(database) == 120
    assert relay.relay(database, wire) == 120
    assert sorted(on(wire)) == sorted(f"{job_id}.1" for job_id in ids)
    wire.close()


def test_what_was_sent_twice_and_is_done_by_then_runs_once(database: Database, wire: Wire) -> None:
    job = add(database)
    wire.broker.declare_queue("default")
    relay.relay(database, wire)
    message = wire.fetch("default", 1)[0]
    claim(database, job)
    wire.ack([message])

    relay.hand_over(database, wire, [job])

    assert on(wire) == [f"{job.job_id}.1"]
    assert read(database, job).state == "executing"
    assert database.write(rows.cancel, job.job_id)[1]
    assert relay.relay(database, wire) == 0


def test_only_what_is_due_and_not_sent_is_sent_the_oldest_first(database: Database, wire: Wire) -> None:
    first, second = add(database), add(database)
    add(database, delay=60.0)
    held = add(database)
    claim(database, held)
    cancelled = add(database)
    database.write(rows.cancel, cancelled.job_id)
    urgent = add(database, priority=1)

    assert relay.relay(database, wire) == 3

    assert on(wire) == [f"{first.job_id}.1", f"{second.job_id}.1"]
    assert on(wire, "default.1") == [f"{urgent.job_id}.1"]


def test_of_jobs_that_were_added_those_are_sent_that_are_there(database: Database, wire: Wire) -> None:
    there, claimed, later = add(database), add(database), add(database, delay=60.0)
    claim(database, claimed)

    assert (
        relay.relay_added(database, lambda: wire, [new_id(), there.job_id, claimed.job_id, later.job_id]) == 1
    )

    assert on(wire) == [f"{there.job_id}.1"]


def test_the_wire_is_not_opened_for_nothing(database: Database) -> None:
    def fail() -> Wire:
        raise AssertionError

    assert relay.relay_added(database, fail, [new_id()]) == 0
