from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from job_actors import add, shout
from job_rows import claim, read
from sqlalchemy import create_engine, delete, func, select, text, update

from aquila.errors import ConfigError
from jobs import claims, rows, unique
from jobs.claims import Captured
from jobs.database import Database
from jobs.errors import JobsError
from jobs.new_job import NewJob
from jobs.rows import Job
from jobs.sqltypes import db_now
from jobs.tables import jobs, unique_keys
from jobs.unique import LONGEST, Unique

pytest_plugins = ["job_fixtures"]

KEY = "add:k"


def new(key: str | None = "k", seconds: float = 0.0) -> NewJob:
    return add.options(unique=None if key is None else Unique(key, seconds=seconds)).message(1, 2)


def send(database: Database, key: str = "k", seconds: float = 0.0) -> Job:
    return database.write(rows.add, new(key, seconds))


def count(database: Database) -> int:
    query = select(func.count()).select_from(jobs)
    return database.read(lambda connection: int(connection.execute(query).scalar_one()))


def complete(database: Database, job: Job) -> None:
    held = claim(database, job)
    assert database.write(claims.complete, held, output=None, result=3, captured=Captured())


def keys(database: Database) -> list[str]:
    return database.read(lambda connection: list(connection.scalars(select(unique_keys.c.key))))


def test_of_eight_that_send_at_once_one_adds_the_job(database: Database) -> None:
    ready = threading.Barrier(8)

    def run(_: int) -> str:
        ready.wait()
        return send(database).job_id

    for _ in range(5):
        with ThreadPoolExecutor(8) as pool:
            got = set(pool.map(run, range(8)))
        assert len(got) == 1
        (job_id,) = got
        assert count(database) == 1
        complete(database, database.read(rows.get, job_id))
        database.write(lambda connection: connection.execute(delete(jobs)))


def test_of_eight_hosts_with_transactions_of_their_own_one_adds_the_job(database: Database) -> None:
    engine = create_engine(database.engine.url, max_overflow=8)
    ready = threading.Barrier(8)

    def run(number: int) -> str:
        ready.wait()
        with engine.begin() as connection:
            job = rows.add(connection, new())
            # The transaction can be used, whoever has the key.
            found = connection.execute(select(jobs.c.id).where(jobs.c.id == job.job_id)).scalar_one()
            other = rows.add(connection, new(f"own {number}"))
        assert other.job_id != found
        return str(found)

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(run, range(8)))) == 1
    assert count(database) == 9
    engine.dispose()


def second_sender(database: Database, end: Callable[[], None]) -> Job:
    """Send in a thread, and end a first transaction once that thread waits or has had the time to."""
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(send, database)
        if database.locks_rows:
            waiting = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
            while not database.read(lambda connection: connection.execute(waiting).scalar_one()):
                assert not sent.done()
        assert not sent.done()
        end()
        return sent.result(timeout=20)


def test_when_the_first_transaction_rolls_back_the_second_gets_the_key(database: Database) -> None:
    with database.engine.connect() as first:
        gone = rows.add(first, new())
        job = second_sender(database, first.rollback)

    assert job.job_id != gone.job_id
    assert count(database) == 1
    assert send(database).job_id == job.job_id


def test_when_the_first_transaction_commits_the_second_gets_its_job(database: Database) -> None:
    with database.engine.connect() as first:
        kept = rows.add(first, new())
        job = second_sender(database, first.commit)

    assert job.job_id == kept.job_id
    assert count(database) == 1


def test_a_key_is_free_again_when_its_job_has_ended(database: Database) -> None:
    first = send(database)
    assert send(database).job_id == first.job_id
    complete(database, first)

    second = send(database)

    assert second.job_id != first.job_id
    assert send(database).job_id == second.job_id


def test_a_key_can_be_taken_for_longer_than_the_job(database: Database) -> None:
    first = send(database, seconds=60.0)
    complete(database, first)
    assert send(database, seconds=60.0).job_id == first.job_id

    past = update(unique_keys).values(until=db_now(-1))
    database.write(lambda connection: connection.execute(past))

    assert send(database).job_id != first.job_id


def test_a_key_whose_job_was_pruned_goes_to_the_next_job_and_to_no_other(database: Database) -> None:
    first = send(database, seconds=60.0)
    complete(database, first)
    database.write(lambda connection: connection.execute(delete(jobs)))

    second = send(database, seconds=60.0)

    assert second.job_id != first.job_id
    assert send(database, seconds=60.0).job_id == second.job_id


def test_keys_are_of_one_actor_and_jobs_without_one_are_free() -> None:
    assert add.options(unique="k").message(1, 2).unique_key == KEY
    assert shout.options(unique="k").message("x").unique_key == "shout:k"
    assert add.message(1, 2).unique_key is None


def test_one_call_with_a_key_twice_adds_one_job(database: Database) -> None:
    many = [new(), new(None), new(), new(None)]

    added = database.write(rows.add_all, many)

    assert added[0].job_id == added[2].job_id
    assert [added[1].job_id, added[3].job_id] == [many[1].job_id, many[3].job_id]
    assert count(database) == 3


def test_an_ended_job_cannot_run_again_while_another_has_its_key(database: Database) -> None:
    first = send(database)
    complete(database, first)
    second = send(database)

    with pytest.raises(JobsError, match=f"job {second.job_id} has its unique key 'add:k'"):
        database.write(rows.run_again, first.job_id)

    complete(database, second)
    assert database.write(rows.run_again, first.job_id)[1]
    assert send(database).job_id == first.job_id


def test_only_keys_that_nobody_has_are_pruned(database: Database) -> None:
    ended, long, open_ = send(database, "ended"), send(database, "long", 60.0), send(database, "open")
    complete(database, ended)
    complete(database, long)

    assert database.write(unique.prune_keys) == 1

    assert sorted(keys(database)) == ["add:long", "add:open"]
    assert read(database, open_).state == "available"


@pytest.mark.parametrize("key", ["", "x" * (LONGEST + 1), "a\x00b", "\ud800", 7])
def test_what_cannot_be_a_key_is_refused(key: str) -> None:
    with pytest.raises(ConfigError, match="unique="):
        Unique(key)


@pytest.mark.parametrize("seconds", [-1.0, float("inf"), float("nan"), "1"])
def test_what_is_no_time_for_a_key_is_refused(seconds: float) -> None:
    with pytest.raises(ConfigError, match="must be seconds from zero"):
        Unique("k", seconds=seconds)
