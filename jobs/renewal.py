"""Renews the leases of a worker's attempts, all in one statement."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, select, update

from jobs.sqltypes import db_now
from jobs.tables import jobs


@dataclass(frozen=True, slots=True)
class Renewal:
    """What came of renewing: ids with epochs."""

    renewed: set[tuple[str, int]]
    #: What is this worker's, renewed or not.
    held: set[tuple[str, int]]


def renew(connection: Connection, worker_id: str, held: Collection[tuple[str, int]], lease: float) -> Renewal:
    """Renew the leases of `held` in one statement.

    A row that is locked is left for the next time: its holder stores something, or somebody cancels the job. Waiting for one
    would hold up the leases of all others, and make a deadlock with a transaction that waits for one of them.
    """
    mine = select(jobs.c.id, jobs.c.epoch).where(jobs.c.worker_id == worker_id, jobs.c.state == "executing")
    free = _keys(connection, mine.with_for_update(skip_locked=True)).intersection(held)
    if free:
        ids = [job_id for job_id, _ in free]
        connection.execute(update(jobs).where(jobs.c.id.in_(ids)).values(lease_until=db_now(lease)))
    return Renewal(renewed=free, held=_keys(connection, mine))


def _keys(connection: Connection, query: Select[Any]) -> set[tuple[str, int]]:
    return {(str(job_id), int(epoch)) for job_id, epoch in connection.execute(query)}
