from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from job_hosts import eventually
from job_rows import add
from job_workers import Valkey
from sqlalchemy import Connection, Transaction

from jobs import commit_watch, rows
from jobs.database import Database
from jobs.new_job import NewJob
from jobs.postman import Postman
from jobs.rows import new_id
from jobs.wire import Wire

pytest_plugins = ["job_fixtures"]


@pytest.fixture
def wire(shared_valkey: Valkey) -> Iterator[Wire]:
    opened = Wire(shared_valkey.url, database_id=new_id(), lease=5.0, middleware=())
    yield opened
    opened.close()


@pytest.fixture
def sending(database: Database, wire: Wire) -> Iterator[Postman]:
    opened = Postman(lambda: database, lambda: wire)
    yield opened
    opened.close()
    assert threads() == []


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "aquila-postman"]


def add_in(connection: Connection, sending: Postman) -> str:
    new = NewJob(
        job_id=new_id(),
        actor_name="add",
        queue_name="default",
        arguments={"args": [1, 2], "kwargs": {}},
        metadata={},
        priority=0,
        max_attempts=1,
        cassette=None,
    )
    rows.add(connection, new)
    transaction = connection.get_transaction()
    assert transaction is not None
    sending.watch(transaction, [new.job_id])
    return new.job_id


def commit_one(database: Database, sending: Postman) -> str:
    with database.engine.begin() as connection:
        return add_in(connection, sending)


def on(wire: Wire) -> list[str]:
    ids = wire.client.lrange(f"{wire.namespace}:default", 0, -1)
    return [redis_id.decode().partition(".")[0] for redis_id in ids]


def test_a_commit_is_seen_at_once_and_a_rollback_sends_nothing(
    database: Database, wire: Wire, sending: Postman
) -> None:
    with database.engine.connect() as connection:
        add_in(connection, sending)
        connection.rollback()
        kept = add_in(connection, sending)
        time.sleep(0.1)
        assert on(wire) == []
        connection.commit()
        eventually(lambda: on(wire))

    assert on(wire) == [kept]


def test_a_transaction_that_the_host_still_holds_is_seen_to_be_over(
    database: Database, wire: Wire, sending: Postman
) -> None:
    with database.engine.connect() as connection:
        transaction: Transaction = connection.begin()
        kept = add_in(connection, sending)
        time.sleep(0.1)
        assert on(wire) == []
        transaction.commit()
        eventually(lambda: on(wire))
        assert not transaction.is_active

    assert on(wire) == [kept]


def test_many_threads_have_each_of_their_jobs_sent_once(
    database: Database, wire: Wire, sending: Postman
) -> None:
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda _: commit_one(database, sending), range(200)))

    eventually(lambda: len(on(wire)) >= 200)
    assert sorted(on(wire)) == sorted(ids)
    assert len(threads()) == 1


def test_the_thread_ends_when_there_is_nothing_to_do_and_begins_again(
    database: Database, wire: Wire, sending: Postman, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit_watch, "LINGER", 0.1)
    first = commit_one(database, sending)
    assert not threads()[0].daemon
    eventually(lambda: threads() == [])

    second = commit_one(database, sending)

    eventually(lambda: len(on(wire)) == 2)
    assert on(wire) == [first, second]


def test_nothing_is_kept_of_what_is_over(database: Database, sending: Postman) -> None:
    for number in range(20):
        with database.engine.connect() as connection:
            add_in(connection, sending)
            add_in(connection, sending)
            if number % 2:
                connection.commit()

    eventually(lambda: sending._commits.is_idle)


def test_closing_sends_what_was_committed_and_leaves_what_is_open(
    database: Database, wire: Wire, sending: Postman
) -> None:
    kept = [commit_one(database, sending) for _ in range(3)]
    with database.engine.connect() as connection:
        add_in(connection, sending)
        began = time.monotonic()
        sending.close()

        assert time.monotonic() - began < 2.0
        assert threads() == []
        assert on(wire) == kept
        connection.commit()
        time.sleep(0.1)
        assert on(wire) == kept


def test_it_can_be_used_again_after_it_was_closed(database: Database, wire: Wire, sending: Postman) -> None:
    sending.close()
    sending.close()

    kept = commit_one(database, sending)

    eventually(lambda: on(wire) == [kept])


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_host_that_writes_on_and_on_keeps_nobody_waiting(
    database: Database, wire: Wire, sending: Postman
) -> None:
    kept = commit_one(database, sending)
    with database.engine.begin() as connection:
        add_in(connection, sending)
        eventually(lambda: on(wire) == [kept])
        began = time.monotonic()
        sending.close()
        assert time.monotonic() - began < 2.0


def test_while_redis_is_away_the_jobs_are_kept_and_the_thread_lives(
    database: Database, wire: Wire, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    away = Wire(f"unix://{tmp_path / 'none'}", database_id=new_id(), lease=5.0, middleware=())
    wires = [wire, away]
    sending = Postman(lambda: database, wires.pop)
    with caplog.at_level(logging.WARNING):
        lost = commit_one(database, sending)
        eventually(lambda: "kept, and will be handed over by a worker" in caplog.text)
    assert caplog.text.count("\n") == 1

    kept = commit_one(database, sending)

    eventually(lambda: on(wire) == [kept])
    assert database.read(rows.get, lost).published_at is None
    sending.close()
    away.close()


def test_without_a_thread_the_workers_hand_over(
    database: Database, wire: Wire, sending: Postman, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        commit_one(database, sending)
    assert sending._commits.is_idle

    kept = commit_one(database, sending)

    eventually(lambda: on(wire) == [kept])


def refuse(thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_a_job_of_somebody_else_is_left_alone(database: Database, wire: Wire, sending: Postman) -> None:
    add(database)

    kept = commit_one(database, sending)

    eventually(lambda: on(wire))
    assert on(wire) == [kept]
