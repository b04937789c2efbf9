from __future__ import annotations

import logging
import math
from datetime import datetime, timedelta
from typing import Any

import anyio
import pytest
from job_rows import add
from job_workers import until
from sqlalchemy import Connection, Table, func, insert, select, update

import jobs
from aquila.errors import ConfigError
from jobs import leader, pruning, rows
from jobs.broker import runtime
from jobs.database import Database
from jobs.errors import StorageError
from jobs.pruner import LEADER, Pruner, aprune, prune
from jobs.pruning import Pruned, Pruning, keep_by_state
from jobs.rows import Job
from jobs.sqltypes import db_now
from jobs.tables import State, leaders, spending, steps, unique_keys, workers
from jobs.tables import jobs as jobs_table

pytest_plugins = ["job_fixtures"]

DAY = 86_400.0


@pytest.fixture
def used(place: None) -> Database:
    return runtime().database()


def ended(database: Database, state: State, days: float) -> Job:
    """A job that ended some days ago."""
    job = add(database)
    past = {"state": state, "ended_at": db_now(-days * DAY), "created_at": db_now(-days * DAY)}
    run(database, update(jobs_table).where(jobs_table.c.id == job.job_id).values(past))
    return job


def run(database: Database, statement: Any) -> None:
    database.write(lambda connection: connection.execute(statement))


def count(database: Database, table: Table) -> int:
    query = select(func.count()).select_from(table)
    return database.read(lambda connection: connection.execute(query).scalar_one())


def there(database: Database, *wanted: Job) -> list[bool]:
    return [database.read(rows.find, job.job_id) is not None for job in wanted]


def all_of(database: Database, *, completed: float = 7 * DAY, discarded: float = 30 * DAY) -> Pruned:
    round_ = Pruning(database, keep_by_state(completed, discarded))
    while round_.step():
        pass
    return round_.pruned()


def test_what_ended_long_ago_is_removed_and_nothing_else(database: Database) -> None:
    gone = [
        ended(database, "completed", 8),
        ended(database, "cancelled", 8),
        ended(database, "discarded", 31),
    ]
    kept = [
        ended(database, "completed", 6),
        ended(database, "cancelled", 6),
        ended(database, "discarded", 29),
        add(database),
    ]

    pruned = all_of(database)

    assert (pruned.completed, pruned.cancelled, pruned.discarded, pruned.jobs) == (1, 1, 1, 3)
    assert there(database, *gone) == [False] * 3
    assert there(database, *kept) == [True] * 4


@pytest.mark.parametrize("state", ["scheduled", "available", "executing", "retryable"])
def test_a_job_that_has_not_ended_is_never_removed(database: Database, state: State) -> None:
    job = ended(database, state, 5000)

    assert all_of(database, completed=0, discarded=0).jobs == 0
    assert there(database, job) == [True]


def test_endless_keeps_rows_for_ever(database: Database) -> None:
    job = ended(database, "completed", 20_000)

    assert all_of(database, completed=math.inf).jobs == 0
    assert there(database, job) == [True]


def test_the_steps_of_a_job_go_with_it(database: Database) -> None:
    old, new = ended(database, "completed", 8), ended(database, "completed", 1)
    for job in (old, new):
        run(
            database,
            insert(steps).values(job_id=job.job_id, name="s", value=1, epoch=1, created_at=db_now(-30 * DAY)),
        )

    assert all_of(database).steps == 1
    assert count(database, steps) == 1


def test_the_keys_that_nobody_has_any_more_go_too(database: Database) -> None:
    for key, job in (("old", ended(database, "completed", 8)), ("live", add(database))):
        run(database, insert(unique_keys).values(key=key, job_id=job.job_id))

    assert all_of(database).unique_keys == 1
    assert count(database, unique_keys) == 1


def test_the_spending_of_periods_long_past_is_removed(database: Database) -> None:
    now: datetime = database.read(lambda connection: connection.execute(select(db_now())).scalar_one())
    month_before_last = now.replace(day=1) - timedelta(days=20)
    periods = {
        "": True,
        now.strftime("%Y-%m-%d"): True,
        now.strftime("%Y-%m"): True,
        month_before_last.strftime("%Y-%m"): True,
        (now - timedelta(days=60)).strftime("%Y-%m-%d"): True,
        (now - timedelta(days=64)).strftime("%Y-%m-%d"): False,
        (now - timedelta(days=100)).strftime("%Y-%m"): False,
        "2019-12-31": False,
    }
    for period in periods:
        run(database, insert(spending).values(name="team", period=period, tokens=1, cost=0.5))

    assert all_of(database).spending == 3
    left = database.read(lambda connection: set(connection.scalars(select(spending.c.period))))
    assert left == {period for period, kept in periods.items() if kept}


def test_workers_and_leaders_that_died_are_forgotten(database: Database) -> None:
    common = {"host": "h", "pid": 1, "queues": {}, "started_at": db_now(), "seen_at": db_now()}
    for name, seconds in (("dead", -4000.0), ("alive", 30.0)):
        run(database, insert(workers).values(id=name, alive_until=db_now(seconds), **common))
    for name, seconds in (("gone", -2 * DAY), ("led", 30.0)):
        run(database, insert(leaders).values(name=name, worker_id="w", until=db_now(seconds)))

    assert all_of(database).workers == 1
    assert (count(database, workers), count(database, leaders)) == (1, 1)


def test_rows_are_removed_a_batch_at_a_time(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "BATCH", 2)
    for _ in range(5):
        ended(database, "completed", 8)
    round_ = Pruning(database, keep_by_state(7 * DAY, 30 * DAY))
    left = []

    while round_.step():
        left.append(count(database, jobs_table))

    assert left == [3, 1, 0]
    assert round_.pruned().completed == 5


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_row_that_somebody_holds_is_left_for_the_next_round(database: Database) -> None:
    job = ended(database, "completed", 8)

    def hold_and_prune(connection: Connection) -> Pruned:
        connection.execute(select(jobs_table).where(jobs_table.c.id == job.job_id).with_for_update())
        return all_of(database)

    assert database.write(hold_and_prune).jobs == 0
    assert all_of(database).jobs == 1


def test_prune_takes_its_own_ages(used: Database) -> None:
    ended(used, "completed", 1), ended(used, "discarded", 1)

    assert prune().jobs == 0
    assert prune(completed=3600.0).to_dict() == Pruned(completed=1).to_dict()
    assert prune(discarded=0.0).discarded == 1


def test_a_dry_run_counts_and_removes_nothing(used: Database) -> None:
    job = ended(used, "completed", 8)
    ended(used, "discarded", 31)
    run(
        used,
        insert(steps).values(job_id=job.job_id, name="s", value=1, epoch=1, created_at=db_now()),
    )

    expected = Pruned(completed=1, discarded=1, steps=1)
    assert prune(dry_run=True) == expected
    assert count(used, jobs_table) == 2
    assert prune() == expected


async def test_prune_has_an_async_form(used: Database) -> None:
    ended(used, "completed", 8)

    assert (await aprune(dry_run=True)).completed == 1
    assert (await aprune()).completed == 1


@pytest.mark.parametrize("value", [-1.0, math.nan, True])
def test_an_age_that_is_none_is_refused(used: Database, value: float) -> None:
    with pytest.raises(ConfigError, match=r"discarded=.* must be seconds from zero"):
        prune(discarded=value)


async def test_the_service_prunes_as_configured_again_and_again(used: Database) -> None:
    ended(used, "completed", 8)
    kept = ended(used, "completed", 6)
    async with anyio.create_task_group() as group:
        group.start_soon(Pruner(runtime(), "w1", period=0.3).run)
        await until(lambda: count(used, jobs_table) == 1)
        ended(used, "discarded", 31)
        await until(lambda: count(used, jobs_table) == 1)
        group.cancel_scope.cancel()

    assert there(used, kept) == [True]
    assert used.write(leader.take, LEADER, "w2", 60.0)


async def test_a_worker_that_does_not_lead_prunes_nothing(used: Database) -> None:
    job = ended(used, "completed", 8)
    used.write(leader.take, LEADER, "other", 60.0)
    async with anyio.create_task_group() as group:
        group.start_soon(Pruner(runtime(), "w1", period=0.05).run)
        await anyio.sleep(0.5)
        assert there(used, job) == [True]
        used.write(leader.resign, LEADER, "other")
        await until(lambda: there(used, job) == [False])
        group.cancel_scope.cancel()


async def test_the_service_outlives_a_database_that_is_away(
    used: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    job = ended(used, "completed", 8)
    asked: list[int] = []
    aread = Database.aread

    async def fail_once(self: Database, *args: Any, **kwargs: Any) -> Any:
        asked.append(1)
        if len(asked) == 1:
            raise StorageError("the database is away")
        return await aread(self, *args, **kwargs)

    monkeypatch.setattr(Database, "aread", fail_once)
    with caplog.at_level(logging.WARNING, "jobs"):
        async with anyio.create_task_group() as group:
            group.start_soon(Pruner(runtime(), "w1", period=0.1).run)
            await until(lambda: there(used, job) == [False])
            group.cancel_scope.cancel()

    assert "old jobs stay for now: the database is away" in caplog.messages


def test_a_handle_of_a_pruned_job_says_that_it_is_gone(used: Database) -> None:
    job = ended(used, "completed", 8)
    prune()

    with pytest.raises(jobs.JobNotFound):
        jobs.JobHandle(job.job_id).status()
