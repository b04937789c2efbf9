"""Transactions: the caller's, or our own; and the jobs that are added in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from functools import partial
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import Session

import jobs
from aquila.errors import ConfigError
from chimeway.migrations import TRACK
from jobs import rows
from jobs.broker import runtime
from jobs.database import Database
from jobs.host_connection import (
    AsyncHostSession,
    HostSession,
    asynchronous,
    check_database,
    connection_of,
    synchronous,
    why_not,
)
from jobs.migrate import check_track
from jobs.new_job import NewJob
from jobs.relay import hand_over
from jobs.rows import Job
from jobs.threads import in_thread

P = ParamSpec("P")
T = TypeVar("T")

#: Jobs that the running transaction of our own has added; None in a caller's.
_ADDED: ContextVar[list[Job] | None] = ContextVar("chimeway_added_jobs", default=None)


def database() -> Database:
    """Give the database of this process, with the tables as this version needs them.

    Raises:
        ConfigError: It cannot be used as configured, or the tables are missing.
        StorageError: It cannot be reached.
    """
    used = runtime()
    found = used.database()
    if getattr(found, "chimeway_checked", None) is not TRACK:
        check_track(found, TRACK, own=used.settings.own_database)
        # It lives as long as the database that was checked.
        found.chimeway_checked = TRACK  # type: ignore[attr-defined]
    return found


def read(work: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Run `work(connection, ...)` in a transaction of our own that only reads.

    Raises:
        StorageError: The database failed.
        ConfigError: Its tables are missing.
    """
    return database().read(work, *args, **kwargs)


def write(work: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Run `work(connection, ...)` in a transaction of our own, and hand the jobs that it added to the broker.

    Raises:
        StorageError: The database failed, and nothing is written.
        ConfigError: Its tables are missing.
    """
    opened = database()
    added: list[Job] = []

    def run(connection: Connection) -> T:
        # It may be run once more, after another transaction was in its way.
        added.clear()
        return work(connection, *args, **kwargs)

    token = _ADDED.set(added)
    try:
        done = opened.write(run)
    finally:
        _ADDED.reset(token)
    if due := [job for job in added if job.state == "available"]:
        hand_over(opened, runtime().wire(), due)
    return done


async def aread(work: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Do as `read` does, in a thread.

    Raises:
        StorageError: The database failed.
        ConfigError: Its tables are missing.
    """
    return await in_thread(partial(read, work, *args, **kwargs))


async def awrite(work: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Do as `write` does, in a thread.

    Raises:
        StorageError: The database failed, and nothing is written.
        ConfigError: Its tables are missing.
    """
    return await in_thread(partial(write, work, *args, **kwargs))


def transact(
    session: HostSession | None,
    work: Callable[Concatenate[Connection, P], T],
    /,
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    """Run `work(connection, ...)` in the caller's transaction, which nothing is committed of; without one in our own.

    Raises:
        ConfigError: The session is none in whose transaction this can be done.
        StorageError: The database cannot be reached.
        SQLAlchemyError: A statement failed in the caller's transaction.
    """
    if session is None:
        return write(work, *args, **kwargs)
    opened = database()
    return _in_host(_synchronous(session), opened.name, lambda connection: work(connection, *args, **kwargs))  # type: ignore[no-any-return]


async def atransact(
    session: AsyncHostSession | None,
    work: Callable[Concatenate[Connection, P], T],
    /,
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    """Do as `transact` does, with an asynchronous session.

    Raises:
        ConfigError: The session is none in whose transaction this can be done.
        StorageError: The database cannot be reached.
        SQLAlchemyError: A statement failed in the caller's transaction.
    """
    if session is None:
        return await awrite(work, *args, **kwargs)
    given = _asynchronous(session)
    opened = await in_thread(database)
    try:
        return await given.run_sync(
            _in_host, opened.name, lambda connection: work(connection, *args, **kwargs)
        )
    except InvalidRequestError as error:
        raise ConfigError(why_not(given, error)) from error


def add_jobs(connection: Connection, many: Sequence[NewJob]) -> None:
    """Add jobs in the running transaction; they reach the broker after its commit, whoever's it is."""
    if not many:
        return
    added = _ADDED.get()
    if added is None:
        jobs.enqueue_all(connection, many)
    else:
        added.extend(rows.add_all(connection, many))


def _synchronous(session: HostSession) -> Session | Connection:
    try:
        return synchronous(session)
    except ConfigError as error:
        raise ConfigError(
            f"session={type(session).__name__}: this takes a Session or a Connection of SQLAlchemy's; with an asynchronous "
            "one await the same function with an 'a' before its name"
        ) from error


def _asynchronous(session: AsyncHostSession) -> AsyncSession | AsyncConnection:
    try:
        return asynchronous(session)
    except ConfigError as error:
        raise ConfigError(
            f"session={type(session).__name__}: this takes an AsyncSession or an AsyncConnection of SQLAlchemy's; with a "
            "synchronous one call the same function without the 'a' before its name"
        ) from error


def _in_host(session: Session | Connection, name: str, work: Callable[[Connection], Any]) -> Any:
    used = runtime()
    connection = connection_of(session, schema=used.settings.schema)
    check_database(connection, database_id=used.database_id, name=name)
    # Not ours to hand over, even if it is called from within a transaction of our own.
    token = _ADDED.set(None)
    try:
        return work(connection)
    finally:
        _ADDED.reset(token)
