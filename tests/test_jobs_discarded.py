from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from job_rows import add, read
from job_workers import Valkey, until_state, working
from sqlalchemy import select, update

import jobs
from aquila.errors import ConfigError
from jobs import discarded, rows
from jobs.broker import runtime
from jobs.database import Database
from jobs.discarded import adead_letters, aretry_all, dead_letters, retry_all
from jobs.live import end_stream, stream_key
from jobs.new_job import NewJob
from jobs.rows import Job
from jobs.sqltypes import db_now
from jobs.tables import jobs as jobs_table

pytest_plugins = ["job_fixtures"]

BOTH = pytest.mark.parametrize("place", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def used(place: None) -> Database:
    return runtime().database()


def dead(database: Database, hours: float = 1.0, state: str = "discarded", **columns: Any) -> Job:
    """A job that was discarded some hours ago, all its attempts used."""
    job = add(database)
    values = {
        "state": state,
        "ended_at": db_now(-hours * 3600),
        "attempt": 2,
        "epoch": 2,
        "reason": "attempt 2 of 2 failed",
        "errors": [{"attempt": 2, "error": "ValueError", "message": "no luck", "at": "2026-11-24T12:00:00"}],
        **columns,
    }
    change = update(jobs_table).where(jobs_table.c.id == job.job_id).values(values)
    database.write(lambda connection: connection.execute(change))
    return read(database, job)


def hours_ago(database: Database, hours: float) -> datetime:
    now: datetime = database.read(lambda connection: connection.execute(select(db_now())).scalar_one())
    return now - timedelta(hours=hours)


def ids(found: list[Job]) -> list[str]:
    return [job.job_id for job in found]


@BOTH
def test_the_newest_dead_letters_come_first_and_say_why(used: Database) -> None:
    old, new = dead(used, 5), dead(used, 1)
    dead(used, state="completed"), dead(used, state="cancelled"), add(used)

    found = dead_letters()

    assert ids(found) == ids([new, old])
    assert {job.reason for job in found} == {"attempt 2 of 2 failed"}
    assert ids(dead_letters(limit=1)) == ids([new])


@BOTH
def test_dead_letters_are_found_by_queue_actor_and_time(used: Database) -> None:
    llm = dead(used, 1, queue_name="llm")
    pay = dead(used, 2, actor_name="pay")
    old = dead(used, 9, actor_name="pay")

    assert ids(dead_letters(queue_name="llm")) == ids([llm])
    assert ids(dead_letters(actor_name="pay")) == ids([pay, old])
    assert ids(dead_letters(actor_name="pay", since=hours_ago(used, 3))) == ids([pay])
    assert dead_letters(actor_name="pay", queue_name="llm") == []


@BOTH
def test_all_dead_letters_run_again(used: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discarded, "BATCH", 2)
    letters = [dead(used, hours) for hours in (1, 2, 2, 3, 4)]
    others = [dead(used, state="completed"), dead(used, state="cancelled")]

    assert retry_all() == 5

    for job in letters:
        again = read(used, job)
        assert (again.state, again.max_attempts, again.ended_at, again.reason) == ("available", 3, None, None)
        # Handed over, so that no worker's round is waited for.
        assert again.published_at is not None
    assert [read(used, job).state for job in others] == ["completed", "cancelled"]
    assert retry_all() == 0


def test_those_that_the_filters_name_run_again_the_oldest_first(used: Database) -> None:
    new, old, oldest = (dead(used, hours, queue_name="llm") for hours in (1, 2, 3))
    other = dead(used, 1)

    assert retry_all(queue_name="llm", since=hours_ago(used, 2.5), limit=1) == 1
    assert [read(used, job).state for job in (new, old, oldest, other)] == [
        "discarded",
        "available",
        "discarded",
        "discarded",
    ]
    assert retry_all(queue_name="llm") == 2
    assert read(used, other).state == "discarded"


def test_a_limit_ends_between_batches_and_within_one(used: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discarded, "BATCH", 2)
    for hours in range(1, 7):
        dead(used, hours)

    assert retry_all(limit=3) == 3
    assert retry_all(limit=2) == 2
    assert len(dead_letters()) == 1


def test_one_whose_key_is_taken_stays_discarded_and_keeps_no_other(
    used: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(discarded, "BATCH", 1)
    new = used.write(rows.add, keyed("add:otp"))
    stuck, free = dead(used, 2, unique_key="add:otp"), dead(used, 1)

    with caplog.at_level(logging.WARNING, "jobs"):
        assert retry_all() == 1

    assert (read(used, stuck).state, read(used, free).state) == ("discarded", "available")
    assert f"job {new.job_id} has its unique key" in caplog.text


def keyed(key: str) -> NewJob:
    return NewJob(
        job_id=rows.new_id(),
        actor_name="add",
        queue_name="default",
        arguments={"args": [1, 2], "kwargs": {}},
        metadata={},
        priority=0,
        max_attempts=1,
        cassette=None,
        unique_key=key,
    )


def test_the_old_live_streams_are_forgotten(used: Database) -> None:
    job = dead(used)
    wire = runtime().wire()
    end_stream(wire, job, "failed", ttl=60.0, error="ValueError")
    assert wire.client.exists(stream_key(job.job_id))

    retry_all()

    assert not wire.client.exists(stream_key(job.job_id))


def test_what_redis_cannot_be_told_is_kept_for_a_worker(
    own_valkey: Valkey, caplog: pytest.LogCaptureFixture
) -> None:
    database = runtime().database()
    job = dead(database)
    runtime().wire()
    own_valkey.stop()

    with caplog.at_level(logging.WARNING, "jobs"):
        assert retry_all() == 1

    assert "old live streams of 1 jobs stay" in caplog.text
    assert (read(database, job).state, read(database, job).published_at) == ("available", None)


async def test_a_worker_runs_them(used: Database) -> None:
    @jobs.actor(actor_name="pay_at_last", max_attempts=1)
    async def pay_at_last(path: str) -> str:
        if jobs.current().attempt == 1:
            raise ValueError("no money")
        return "paid"

    async with working():
        handle = await pay_at_last.asend("")
        await until_state(handle, "discarded")
        assert ids(await adead_letters(actor_name="pay_at_last")) == [handle.job_id]
        assert await aretry_all(actor_name="pay_at_last") == 1
        assert await handle.aresult(timeout=20) == "paid"


def test_what_is_discarded_once_more_is_not_run_for_ever(
    used: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discarded, "BATCH", 1)
    first, second = dead(used, 2), dead(used, 1)
    offer = discarded._offer

    def fail_at_once(runtime_: Any, retried: list[Job]) -> None:
        offer(runtime_, retried)
        change = update(jobs_table).where(jobs_table.c.id.in_(ids(retried)))
        values = {"state": "discarded", "ended_at": db_now()}
        used.write(lambda connection: connection.execute(change.values(values)))

    monkeypatch.setattr(discarded, "_offer", fail_at_once)

    assert retry_all() == 2
    assert [read(used, job).max_attempts for job in (first, second)] == [3, 3]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"limit": 0}, "limit=0 must be at least 1"),
        ({"since": datetime(2026, 1, 1)}, "must be an aware datetime"),  # noqa: DTZ001 - what it is about
        ({"since": 5}, "must be an aware datetime"),
    ],
)
def test_what_cannot_be_used_is_refused(used: Database, options: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        dead_letters(**options)
    with pytest.raises(ConfigError, match=words):
        retry_all(**options)


def test_nothing_dead_is_nothing_to_do(used: Database) -> None:
    assert dead_letters(since=datetime(2020, 1, 1, tzinfo=UTC)) == []
    assert retry_all() == 0
