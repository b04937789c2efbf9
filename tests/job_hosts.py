"""For tests of the jobs: a host's own engines on the database of the jobs, and what stands on the wire."""

from __future__ import annotations

import time
from collections.abc import Callable

from sqlalchemy import Engine, create_engine, update
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from jobs.broker import runtime
from jobs.database import open_engine
from jobs.errors import JobNotFound
from jobs.handle import JobHandle
from jobs.rows import new_id
from jobs.tables import databases

ASYNC_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql+psycopg": "postgresql+psycopg_async"}


def take_a_wire_of_its_own() -> None:
    """Before the jobs are used: a database that is a copy of another has its id, and would share its wire."""
    settings = runtime().settings
    if settings.own_database:
        return
    opened = open_engine(settings.database_url)
    with opened.begin() as connection:
        connection.execute(update(databases).values(id=new_id()))
    opened.dispose()


def host_engine() -> Engine:
    """As a host makes it, savepoints included: on SQLite they need what SQLAlchemy says of them."""
    return open_engine(url())


def plain_engine() -> Engine:
    """As a host makes it that knows nothing of SQLite."""
    return create_engine(url())


def async_engine() -> AsyncEngine:
    scheme, _, rest = url().partition("://")
    return create_async_engine(f"{ASYNC_DRIVERS[scheme]}://{rest}")


def url() -> str:
    """The database of the jobs, which is opened and has its tables."""
    used = runtime()
    used.database()
    return used.settings.database_url


def on_the_wire(queue_name: str = "default") -> list[str]:
    """The ids of the jobs on a queue, in its order."""
    wire = runtime().wire()
    ids = wire.client.lrange(f"{wire.namespace}:{queue_name}", 0, -1)
    return [redis_id.decode().partition(".")[0] for redis_id in ids]


def eventually(condition: Callable[[], object], within: float = 20.0) -> None:
    """Wait until the condition holds, in a test without a loop."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def is_known(handle: JobHandle) -> bool:
    """Whether there is a row that others see."""
    try:
        handle.job()
    except JobNotFound:
        return False
    return True


def delivered(*handles: JobHandle) -> None:
    """Wait until these jobs and no others are on the wire, each once."""
    wanted = sorted(handle.job_id for handle in handles)
    eventually(lambda: len(on_the_wire()) >= len(wanted))
    assert sorted(on_the_wire()) == wanted
    if runtime().database().locks_rows:
        eventually(lambda: all(handle.job().published_at for handle in handles))
