"""`enqueue`: adds jobs in the host's own transaction. Its commit means that they run, its rollback that they never do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from anyio import to_thread
from sqlalchemy import Connection
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm import Session

from aquila.errors import ConfigError
from jobs import rows
from jobs.broker import runtime
from jobs.handle import JobHandle
from jobs.host_connection import (
    AsyncHostSession,
    HostSession,
    asynchronous,
    check_database,
    connection_of,
    synchronous,
    why_not,
)
from jobs.new_job import NewJob
from jobs.postman import Postman
from jobs.tracing import tracing_sends


@dataclass(frozen=True, slots=True)
class _Home:
    """Where this process's jobs live."""

    postman: Postman
    database_id: str
    #: For messages.
    name: str
    schema: str | None


def enqueue(session: HostSession, message: NewJob) -> JobHandle:
    """Add a job in the caller's transaction: `jobs.enqueue(session, explain.message("OTP"))`.

    After the commit a thread of this process hands it to the broker; if the process dies before, a worker does. A
    rollback takes the job back, as does that of a savepoint. Until the commit nobody else sees it.

    Args:
        session: A session or connection of SQLAlchemy's to the database of the jobs. Nothing is flushed or committed.
        message: What `Actor.message` made.

    Returns:
        The job's handle; that of an older job with the same unique key, if there is one.

    Raises:
        ConfigError: The session is none in whose transaction a job can be added.
        StorageError: The database of the jobs cannot be reached.
        SQLAlchemyError: A statement failed in the caller's transaction; it is as it is after any that fails.
    """
    return enqueue_all(session, [message])[0]


def enqueue_all(session: HostSession, messages: Iterable[NewJob]) -> list[JobHandle]:
    """Add jobs in the caller's transaction, as `enqueue` does, with few statements.

    Args:
        session: A session or connection of SQLAlchemy's to the database of the jobs.
        messages: What `Actor.message` made, of any actors.

    Returns:
        The handles in the same order; that of an older job where one has the same unique key.

    Raises:
        ConfigError: The session is none in whose transaction a job can be added.
        StorageError: The database of the jobs cannot be reached.
        SQLAlchemyError: A statement failed in the caller's transaction; it is as it is after any that fails.
    """
    with tracing_sends(_checked(messages)) as many:
        return _add(synchronous(session), many, _home())


async def aenqueue(session: AsyncHostSession, message: NewJob) -> JobHandle:
    """Do as `enqueue` does: `await jobs.aenqueue(session, explain.message("OTP"))`.

    Args:
        session: An asynchronous session or connection of SQLAlchemy's to the database of the jobs.
        message: What `Actor.message` made.

    Raises:
        ConfigError: The session is none in whose transaction a job can be added.
        StorageError: The database of the jobs cannot be reached.
        SQLAlchemyError: A statement failed in the caller's transaction; it is as it is after any that fails.
    """
    return (await aenqueue_all(session, [message]))[0]


async def aenqueue_all(session: AsyncHostSession, messages: Iterable[NewJob]) -> list[JobHandle]:
    """Do as `enqueue_all` does.

    Args:
        session: An asynchronous session or connection of SQLAlchemy's to the database of the jobs.
        messages: What `Actor.message` made, of any actors.

    Raises:
        ConfigError: The session is none in whose transaction a job can be added.
        StorageError: The database of the jobs cannot be reached.
        SQLAlchemyError: A statement failed in the caller's transaction; it is as it is after any that fails.
    """
    given = asynchronous(session)
    # Apart, because the first time opens the database.
    home = await to_thread.run_sync(_home)
    with tracing_sends(_checked(messages)) as many:
        try:
            return await given.run_sync(_add, many, home)
        except InvalidRequestError as error:
            raise ConfigError(why_not(given, error)) from error


def _checked(messages: Iterable[NewJob]) -> list[NewJob]:
    many = list(messages)
    for new in many:
        if not isinstance(new, NewJob):
            raise ConfigError(f"enqueue takes what Actor.message(...) gives, not {type(new).__name__}")
    return many


def _home() -> _Home:
    used = runtime()
    return _Home(used.postman(), used.database_id, used.database().name, used.settings.schema)


def _add(session: Session | Connection, many: Sequence[NewJob], home: _Home) -> list[JobHandle]:
    connection = connection_of(session, schema=home.schema)
    check_database(connection, database_id=home.database_id, name=home.name)
    added = rows.add_all(connection, many)
    handles = [
        JobHandle(job.job_id, created=job.job_id == new.job_id) for job, new in zip(added, many, strict=True)
    ]
    due = [job.job_id for job, new in zip(added, many, strict=True) if _is_due(job, new)]
    transaction = connection.get_transaction()
    if due and transaction is not None:
        home.postman.watch(transaction, due)
    return handles


def _is_due(job: rows.Job, new: NewJob) -> bool:
    return job.job_id == new.job_id and job.state == "available"
