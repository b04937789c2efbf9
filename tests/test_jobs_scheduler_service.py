from __future__ import annotations

import logging
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import anyio
import pytest
from job_crons import SECOND, a_cron, last_tick, now, say_the_tick, seen_to, ticks_of
from job_workers import LEASE, until, working

import jobs
from jobs import crons as declared
from jobs import leader, rows
from jobs.broker import runtime
from jobs.crons import Cron, cron, reschedule
from jobs.database import Database
from jobs.errors import StorageError
from jobs.rows import Job
from jobs.scheduler import Scheduler

pytest_plugins = ["job_fixtures"]


def scheduling(*crons: Cron, worker: str = "w1") -> AbstractAsyncContextManager[None]:
    @asynccontextmanager
    async def running() -> Any:
        async with anyio.create_task_group() as group:
            group.start_soon(
                Scheduler(runtime(), worker, declared=lambda: {cron.name: cron for cron in crons}).run
            )
            yield
            group.cancel_scope.cancel()

    return running()


def added_after_the_tick(database: Database) -> list[float]:
    def seconds(job: Job) -> float:
        return (job.created_at - datetime.fromisoformat(job.metadata["tick"])).total_seconds()

    return [seconds(job) for job in database.read(rows.latest, limit=100)]


@pytest.mark.parametrize("place", ["sqlite", "postgresql"], indirect=True)
async def test_a_worker_runs_each_tick_once_and_at_once(place: None) -> None:
    database = runtime().database()
    async with working(), scheduling(a_cron(SECOND, name="secondly", args=["> "])):
        await until(lambda: len(ticks_of(database)) >= 2)
        first = database.read(rows.latest, limit=2)[-1]
        result = await jobs.JobHandle(first.job_id).aresult(timeout=20)

    assert result == f"> secondly {first.metadata['tick']}"
    found = [datetime.fromisoformat(moment) for moment in ticks_of(database)]
    assert found == [found[0] + timedelta(seconds=n) for n in range(len(found))]
    assert 0 <= min(added_after_the_tick(database)) < 0.5


async def test_two_schedulers_add_each_tick_once(place: None) -> None:
    database = runtime().database()
    cron = a_cron(SECOND)
    async with scheduling(cron, worker="w1"), scheduling(cron, worker="w2"):
        await until(lambda: bool(ticks_of(database)))
        await anyio.sleep(0.2)

    found = ticks_of(database)
    assert len(found) == len(set(found))


async def test_a_worker_that_does_not_know_a_cron_does_not_keep_it_from_running(place: None) -> None:
    database = runtime().database()
    old, new = a_cron(SECOND, name="old"), a_cron(SECOND, name="new")
    database.write(leader.take, old.leader, "w1", 60.0)
    async with scheduling(old, worker="w1"), scheduling(old, new, worker="w2"):
        await until(lambda: {job.metadata["cron"] for job in database.read(rows.latest)} == {"old", "new"})


async def test_no_tick_is_lost_when_a_leader_dies(place: None) -> None:
    database = runtime().database()
    cron = a_cron(SECOND, missed="skip")
    start = now(database).replace(microsecond=0)
    seen_to(database, cron, start)
    database.write(leader.take, cron.leader, "dead", LEASE)

    async with scheduling(cron):
        await until(lambda: len(ticks_of(database)) >= 2)

    found = [datetime.fromisoformat(moment) for moment in ticks_of(database)]
    assert found == [start + timedelta(seconds=n + 1) for n in range(len(found))]


async def test_a_scheduler_that_stops_is_followed_at_once(place: None) -> None:
    database = runtime().database()
    cron = a_cron()
    async with scheduling(cron, worker="w1"):
        await until(lambda: last_tick(database, cron) is not None)
        assert not database.write(leader.take, cron.leader, "w2", 60.0)

    assert database.write(leader.take, cron.leader, "w2", 60.0)


async def test_the_service_outlives_a_database_that_is_away(
    place: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    database = runtime().database()
    asked: list[int] = []
    aread = Database.aread

    async def fail_once(self: Database, *args: Any, **kwargs: Any) -> Any:
        asked.append(1)
        if len(asked) == 1:
            raise StorageError("the database is away")
        return await aread(self, *args, **kwargs)

    monkeypatch.setattr(Database, "aread", fail_once)
    with caplog.at_level(logging.WARNING, "jobs"):
        async with scheduling(a_cron()):
            await until(lambda: last_tick(database, a_cron()) is not None)

    assert "crons wait: the database is away" in caplog.messages


async def test_a_cron_whose_job_cannot_be_made_keeps_no_other_from_running(
    place: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    database = runtime().database()

    bad = a_cron(SECOND, name="bad", sender=say_the_tick, args=[object()])
    with caplog.at_level(logging.WARNING, "jobs"):
        async with scheduling(bad, a_cron(SECOND, name="good")):
            await until(lambda: bool(ticks_of(database)))

    assert {job.metadata["cron"] for job in database.read(rows.latest)} == {"good"}
    assert sum("cron bad cannot make its job" in line for line in caplog.messages) == 1


async def test_a_cron_whose_job_cannot_be_stored_keeps_no_other_from_running(
    place: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    database = runtime().database()
    awrite = Database.awrite

    async def refuse_the_bad_one(self: Database, work: Any, *args: Any, **kwargs: Any) -> Any:
        if args and isinstance(args[0], Cron) and args[0].name == "bad":
            raise StorageError("the database refuses it")
        return await awrite(self, work, *args, **kwargs)

    monkeypatch.setattr(Database, "awrite", refuse_the_bad_one)
    with caplog.at_level(logging.WARNING, "jobs"):
        async with scheduling(a_cron(SECOND, name="bad"), a_cron(SECOND, name="good")):
            await until(lambda: bool(ticks_of(database)))

    assert {job.metadata["cron"] for job in database.read(rows.latest)} == {"good"}
    assert "cron bad waits: the database refuses it" in caplog.messages


async def test_a_worker_takes_up_other_times_while_it_runs(
    place: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(declared, "_CRONS", {})
    cron("0 0 1 1 *", name="yearly")(say_the_tick)
    database = runtime().database()
    before = declared.crons()["yearly"]
    async with working():
        await until(lambda: last_tick(database, before) is not None)
        assert ticks_of(database) == []

        reschedule("yearly", SECOND)

        await until(lambda: len(ticks_of(database)) >= 2)
    assert last_tick(database, before) is None
