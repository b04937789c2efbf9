"""What happens to rows that several processes want at the same time. PostgreSQL locks single rows, SQLite the file."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import pytest
from job_rows import add, claim, read, run_out
from sqlalchemy import Connection, update

from jobs import claims, relay, rows, sweep
from jobs.claims import Captured
from jobs.database import Database
from jobs.lease import Health, LeaseKeeper
from jobs.publishing import Announcement
from jobs.renewal import Renewal, renew
from jobs.rows import Job
from jobs.sqltypes import db_now
from jobs.tables import jobs

pytest_plugins = ["job_fixtures"]

T = TypeVar("T")

on_postgresql = pytest.mark.parametrize("database", ["postgresql"], indirect=True)


def at_once(number: int, work: Callable[[int], T]) -> list[T]:
    """Call `work` in that many threads, which begin together."""
    ready = threading.Barrier(number)

    def begin(index: int) -> T:
        ready.wait()
        return work(index)

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(begin, range(number)))


@contextmanager
def locked(database: Database, *held: Job) -> Iterator[None]:
    """Another process's transaction that has written to rows and hangs."""
    with database.engine.begin() as connection:
        for job in held:
            connection.execute(update(jobs).where(jobs.c.id == job.job_id).values(priority=1))
        yield


def test_of_many_workers_one_gets_the_job(database: Database) -> None:
    job = add(database)

    got = at_once(8, lambda index: database.write(claims.claim, job.job_id, 1, f"w{index}", 60.0))

    assert sum(held is not None for held in got) == 1
    assert (read(database, job).attempt, read(database, job).epoch) == (1, 1)


def test_a_job_is_cancelled_or_completed_and_never_both(database: Database) -> None:
    for _ in range(10):
        held = claim(database, add(database))

        def end(index: int, held: claims.Claim = held) -> bool:
            if index:
                return database.write(rows.cancel, held.job.job_id)[1]
            return database.write(claims.complete, held, output="x", result=1, captured=Captured())

        completed, cancelled = at_once(2, end)

        assert completed != cancelled
        assert read(database, held.job).state == ("completed" if completed else "cancelled")


def test_progress_that_is_told_at_once_is_all_kept(database: Database) -> None:
    held = claim(database, add(database))

    at_once(8, lambda index: database.write(claims.add_metadata, held, {f"step {index}": index}))

    assert len(read(database, held.job).metadata) == 9


def test_what_is_due_is_moved_once_by_sweeps_that_meet(database: Database) -> None:
    for _ in range(20):
        add(database, delay=-1.0)
    database.write(lambda connection: connection.execute(update(jobs).values(state="scheduled")))

    assert sum(at_once(4, lambda _: sweep.promote(database))) == 20


def test_a_job_is_rescued_once_by_sweeps_that_meet(database: Database) -> None:
    held = [claim(database, add(database)) for _ in range(10)]
    database.write(lambda connection: connection.execute(update(jobs).values(lease_until=db_now(-1))))

    rescued = at_once(4, lambda _: sweep.rescue(database))

    assert sorted(job.job_id for part in rescued for job in part) == sorted(one.job.job_id for one in held)
    assert all(len(read(database, one.job).errors) == 1 for one in held)


def test_a_lease_that_is_renewed_in_time_is_never_rescued(database: Database) -> None:
    held = claim(database, add(database))
    run_out(database, held.job)

    def work(index: int) -> bool:
        if index:
            return bool(sweep.rescue(database))
        return bool(database.write(renew, "w1", [held.key], 60.0).renewed)

    renewed, rescued = at_once(2, work)

    assert renewed != rescued
    assert read(database, held.job).state == ("executing" if renewed else "available")


@on_postgresql
def test_a_transaction_that_hangs_stops_only_the_sweep_of_its_own_rows(database: Database) -> None:
    stuck, free = claim(database, add(database)), claim(database, add(database))
    stuck_due, free_due = add(database), add(database)
    wait = update(jobs).where(jobs.c.id.in_([stuck_due.job_id, free_due.job_id]))
    database.write(lambda connection: connection.execute(wait.values(state="scheduled")))
    run_out(database, stuck.job)
    run_out(database, free.job)

    with locked(database, stuck.job, stuck_due):
        assert [job.job_id for job in sweep.rescue(database)] == [free.job.job_id]
        assert sweep.promote(database) == 1

    assert [job.job_id for job in sweep.rescue(database)] == [stuck.job.job_id]
    assert sweep.promote(database) == 1


@on_postgresql
def test_a_transaction_that_hangs_stops_only_the_lease_of_its_own_row(database: Database) -> None:
    stuck, free = claim(database, add(database)), claim(database, add(database))
    both = {stuck.key, free.key}

    with locked(database, stuck.job):
        assert database.write(renew, "w1", both, 60.0) == Renewal({free.key}, both)

    assert database.write(renew, "w1", both, 60.0) == Renewal(both, both)


@on_postgresql
async def test_a_lease_that_is_left_for_the_next_time_keeps_its_deadline(database: Database) -> None:
    keeper = LeaseKeeper(database, "w1", lease=15.0, health=Health(15.0), clock=lambda: 100.0)
    held = keeper.hold(claim(database, add(database)), since=50.0)

    with locked(database, held.claim.job):
        assert not await keeper.renew()
    assert (held.safe_until, held.reason) == (62.0, None)

    assert await keeper.renew()
    assert held.safe_until == 112.0


@on_postgresql
def test_noting_what_was_handed_over_waits_for_nobody(database: Database) -> None:
    taken, free = add(database), add(database)

    with locked(database, taken):
        database.write(relay._note_published, [Announcement.of(taken), Announcement.of(free)])
        assert read(database, free).published_at is not None
        relay.forget_wire(database)

    assert read(database, taken).published_at is None
    assert read(database, free).published_at is None


def test_jobs_are_claimed_in_any_order_while_they_are_noted(database: Database) -> None:
    many = [add(database) for _ in range(60)]

    def claim_backwards(connection: Connection) -> int:
        return sum(claims.claim(connection, job.job_id, 1, "w1", 60.0) is not None for job in many[::-1])

    def work(index: int) -> int:
        if index == 0:
            return database.write(claim_backwards)
        database.write(relay._note_published, [Announcement.of(job) for job in many])
        return 0

    assert sum(at_once(4, work)) == 60


def test_nothing_is_taken_back_after_the_database_hung(database: Database) -> None:
    held = claim(database, add(database))
    run_out(database, held.job)

    assert sweep.rescue(database, fresh=lambda: False) == []

    assert read(database, held.job).state == "executing"
