from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from job_crons import LATE, SECOND, a_cron, last_tick, minutes, now, say_the_tick, seen_to, tick, ticks_of
from sqlalchemy import Connection

from jobs import scheduler
from jobs.database import Database
from jobs.scheduler import add_due
from jobs.tables import jobs as jobs_table
from jobs.ticks import Missed

pytest_plugins = ["job_fixtures"]


def test_a_cron_that_begins_has_no_past(database: Database) -> None:
    cron = a_cron(SECOND)

    assert tick(database, cron).added == []
    assert last_tick(database, cron) is not None
    assert ticks_of(database) == []


def test_a_tick_s_job_says_of_which_cron_and_tick_it_is(database: Database) -> None:
    cron = a_cron(sender=say_the_tick.options(metadata={"who": "anna"}, priority=1), args=["hello "])
    seen_to(database, cron, minutes(now(database)) - timedelta(seconds=1))

    job = tick(database, cron).added[-1]

    due = job.metadata["tick"]
    assert job.metadata == {"who": "anna", "cron": "minutely", "tick": due}
    assert datetime.fromisoformat(due) == last_tick(database, cron)
    assert (job.state, job.priority, job.arguments) == ("available", 1, {"args": ["hello "], "kwargs": {}})


@pytest.mark.parametrize(("missed", "count"), [("latest", 1), ("all", 60), ("skip", 0)])
def test_missed_ticks_are_made_up_for_as_the_cron_says(
    database: Database, missed: Missed, count: int
) -> None:
    cron = a_cron(missed=missed)
    present = now(database)
    seen_to(database, cron, minutes(present) - timedelta(minutes=60))

    tick(database, cron)
    tick(database, cron)

    found = ticks_of(database)
    # A minute may have begun meanwhile.
    begun = minutes(now(database)) - minutes(present)
    assert count <= len(found) <= count + begun // timedelta(minutes=1)
    assert last_tick(database, cron) in {minutes(present), minutes(present) + begun}
    assert not found or datetime.fromisoformat(found[-1]) == last_tick(database, cron)


def test_a_clock_that_was_ahead_silences_no_cron(database: Database) -> None:
    cron = a_cron()
    seen_to(database, cron, now(database) + timedelta(hours=1))

    assert tick(database, cron).due <= now(database) + timedelta(minutes=1)
    last = last_tick(database, cron)
    assert last is not None
    assert last <= now(database)


def test_many_ticks_are_added_a_batch_at_a_time(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "BATCH", 7)
    cron = a_cron(missed="all")
    start = minutes(now(database)) - timedelta(minutes=20)
    seen_to(database, cron, start)

    first = tick(database, cron)
    assert len(first.added) == 7
    assert first.due == start + timedelta(minutes=8)
    assert last_tick(database, cron) == start + timedelta(minutes=7)

    while (done := tick(database, cron)).due <= now(database):
        assert len(done.added) == 7
    found = ticks_of(database)
    assert found == [(start + timedelta(minutes=n + 1)).isoformat() for n in range(len(found))]
    assert len(found) >= 20


@pytest.mark.parametrize("missed", ["latest", "skip"])
def test_ticks_within_a_change_of_leaders_are_all_sent(database: Database, missed: Missed) -> None:
    cron = a_cron(SECOND, missed=missed)
    seen_to(database, cron, now(database).replace(microsecond=0) - timedelta(seconds=20))

    tick(database, cron)

    assert 20 <= len(ticks_of(database)) <= 25


def test_two_leaders_at_once_double_no_tick(database: Database) -> None:
    cron = a_cron(SECOND)
    start = now(database).replace(microsecond=0) - timedelta(seconds=30)
    seen_to(database, cron, start)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: tick(database, cron), range(8)))

    found = ticks_of(database)
    assert len(found) == len(set(found)) >= 30
    assert found[0] == (start + timedelta(seconds=1)).isoformat()


def test_a_tick_whose_note_was_lost_is_not_doubled(database: Database) -> None:
    cron = a_cron()
    before = minutes(now(database)) - timedelta(seconds=1)
    seen_to(database, cron, before)
    job = tick(database, cron).added[0]

    seen_to(database, cron, before)
    again = tick(database, cron).added

    assert job.job_id not in {added.job_id for added in again}
    assert ticks_of(database).count(job.metadata["tick"]) == 1


def test_a_crash_before_the_commit_loses_no_tick(database: Database) -> None:
    cron = a_cron()
    before = minutes(now(database)) - timedelta(seconds=1)
    seen_to(database, cron, before)

    def crash(connection: Connection) -> None:
        assert add_due(connection, cron, cron.message(), LATE).added
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        database.write(crash)
    assert last_tick(database, cron) == before

    assert len(tick(database, cron).added) >= 1


def test_another_schedule_runs_no_old_ticks(database: Database) -> None:
    old, new = a_cron("0 0 1 1 *", missed="all"), a_cron("* * * * *", missed="all")
    seen_to(database, old, datetime(2020, 1, 1, tzinfo=UTC))

    tick(database, new)
    assert ticks_of(database) == []

    # Neither does the old one when it comes back.
    tick(database, old)
    tick(database, old)
    assert ticks_of(database) == []
    assert last_tick(database, new) is None


def test_a_schedule_of_another_cron_is_left_alone(database: Database) -> None:
    others = [a_cron(name="minutely2"), a_cron(name="minute_y"), a_cron(name="min")]
    for other in others:
        seen_to(database, other, now(database))

    tick(database, a_cron())

    assert all(last_tick(database, other) for other in others)


def test_a_tick_is_left_out_while_an_older_job_has_the_unique_key(database: Database) -> None:
    cron = a_cron(missed="all", sender=say_the_tick.options(unique="one at a time"))
    seen_to(database, cron, minutes(now(database)) - timedelta(minutes=3))

    assert len(tick(database, cron).added) == 1
    assert len(ticks_of(database)) == 1


def test_a_clock_that_was_set_back_doubles_no_tick(database: Database) -> None:
    cron = a_cron(SECOND)
    seen_to(database, cron, now(database) + timedelta(hours=1))

    assert tick(database, cron).added == []
    assert ticks_of(database) == []


def test_a_pruned_tick_is_not_run_again(database: Database) -> None:
    cron = a_cron()
    seen_to(database, cron, minutes(now(database)) - timedelta(seconds=1))
    assert tick(database, cron).added
    done = minutes(now(database))
    database.write(lambda connection: connection.execute(jobs_table.delete()))

    assert tick(database, cron).added == [] or now(database) >= done + timedelta(minutes=1)
