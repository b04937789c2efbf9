"""Rows for tests of the jobs, without a worker."""

from __future__ import annotations

from sqlalchemy import update

from jobs import claims, rows
from jobs.claims import Claim
from jobs.database import Database
from jobs.new_job import NewJob
from jobs.rows import Job
from jobs.sqltypes import db_now
from jobs.tables import jobs


def add(database: Database, *, delay: float = 0.0, max_attempts: int = 2, priority: int = 0) -> Job:
    new = NewJob(
        job_id=rows.new_id(),
        actor_name="add",
        queue_name="default",
        arguments={"args": [1, 2], "kwargs": {}},
        metadata={"who": "anna"},
        priority=priority,
        max_attempts=max_attempts,
        cassette=None,
        delay=delay,
    )
    return database.write(rows.add, new)


def claim(database: Database, job: Job, *, worker: str = "w1", lease: float = 60.0) -> Claim:
    held = database.write(claims.claim, job.job_id, job.epoch + 1, worker, lease)
    assert held is not None
    return held


def read(database: Database, job: Job) -> Job:
    return database.read(rows.get, job.job_id)


def run_out(database: Database, job: Job) -> None:
    past = update(jobs).where(jobs.c.id == job.job_id).values(lease_until=db_now(-1))
    database.write(lambda connection: connection.execute(past))
