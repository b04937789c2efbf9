"""The workers' own rows: who serves this database, and is anyone there at all."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from jobs.registry import OWN_ACTORS
from jobs.sqltypes import db_now
from jobs.tables import workers

#: Rows of workers that died this many seconds ago are removed.
FORGET_AFTER = 3600.0


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker process that is alive."""

    worker_id: str
    host: str
    pid: int
    #: Jobs at once, by queue.
    queues: Mapping[str, int]


def enrol(connection: Connection, worker_id: str, queues: Mapping[str, int], lease: float) -> None:
    """Add this process as a worker, alive for two leases."""
    connection.execute(delete(workers).where(workers.c.alive_until < db_now(-FORGET_AFTER)))
    connection.execute(
        insert(workers).values(
            id=worker_id,
            host=socket.gethostname(),
            pid=os.getpid(),
            queues=dict(queues),
            started_at=db_now(),
            **_alive(lease),
        )
    )


def seen(connection: Connection, worker_id: str, lease: float) -> None:
    """Note that a worker is alive, for two leases more."""
    connection.execute(update(workers).where(workers.c.id == worker_id).values(**_alive(lease)))


def strike(connection: Connection, worker_id: str) -> None:
    """Remove a worker that stops."""
    connection.execute(delete(workers).where(workers.c.id == worker_id))


def alive(connection: Connection) -> list[Worker]:
    """Give the workers heard of within two of their leases, the oldest first."""
    query = select(workers).where(workers.c.alive_until > db_now()).order_by(workers.c.started_at)
    return [Worker(row.id, row.host, row.pid, row.queues) for row in connection.execute(query)]


def serves(found: list[Worker], queue_name: str, actor_name: str) -> str | None:
    """Say in words why nobody takes an actor's jobs from a queue; None if somebody does."""
    command = "aquila worker" if actor_name in OWN_ACTORS else "aquila worker MODULE"
    if not found:
        return f"no worker serves this database; start one with `{command}`"
    if not any(queue_name in worker.queues for worker in found):
        return (
            f"no worker serves the queue {queue_name!r}; start one with `{command} --queues {queue_name}=10`"
        )
    return None


def _alive(lease: float) -> dict[str, Any]:
    return {"seen_at": db_now(), "alive_until": db_now(2 * lease)}
