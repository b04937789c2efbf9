"""The host's transaction: what may be given as one, and whether jobs that are added in it would ever run."""

from __future__ import annotations

from typing import Any, TypeAlias, cast
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine, insert, select
from sqlalchemy.exc import InvalidRequestError, MissingGreenlet, SQLAlchemyError, UnboundExecutionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session
from sqlalchemy.orm import Session, scoped_session

from aquila.errors import ConfigError
from jobs.database import storage_error
from jobs.in_schema import bare, in_schema
from jobs.migrate import HEAD, current_version, version_problem
from jobs.tables import databases, jobs

#: What has a transaction of the host's.
HostSession: TypeAlias = "Session | scoped_session[Any] | Connection"
AsyncHostSession: TypeAlias = "AsyncSession | async_scoped_session[Any] | AsyncConnection"

DIALECTS = ("postgresql", "sqlite")

#: The id of the jobs in each of the host's databases that was looked at, by schema.
_KNOWN: WeakKeyDictionary[Engine, dict[str | None, str]] = WeakKeyDictionary()


def synchronous(session: object) -> Session | Connection:
    """Give the session or connection to be used.

    Raises:
        ConfigError: It is neither, or an asynchronous one.
    """
    session = bare(session)[0]
    if isinstance(session, scoped_session):
        session = session()
    if isinstance(session, Session | Connection):
        return session
    name = type(session).__name__
    if isinstance(session, AsyncSession | AsyncConnection | async_scoped_session):
        raise ConfigError(f"jobs.enqueue takes no {name}; write `await jobs.aenqueue(session, message)`")
    raise ConfigError(
        f"jobs.enqueue takes a Session or a Connection of SQLAlchemy's, whose transaction is used, not {name}"
    )


def asynchronous(session: object) -> AsyncSession | AsyncConnection:
    """Give the asynchronous session or connection to be used.

    Raises:
        ConfigError: It is neither, or a synchronous one.
    """
    if isinstance(session, async_scoped_session):
        session = session()
    if isinstance(session, AsyncSession | AsyncConnection):
        return session
    name = type(session).__name__
    if isinstance(session, Session | Connection | scoped_session):
        raise ConfigError(f"jobs.aenqueue takes no {name}; write `jobs.enqueue(session, message)`")
    raise ConfigError(
        f"jobs.aenqueue takes an AsyncSession or an AsyncConnection of SQLAlchemy's, whose transaction is used, not {name}"
    )


def connection_of(session: Session | Connection, *, schema: str | None = None) -> Connection:
    """Give the connection on which the host's transaction runs; it begins now if it had not begun. Nothing is flushed.

    Args:
        session: The host's.
        schema: The schema of our tables, which statements that are run on what this gives mean then. The host's own go
            on to mean what they meant.

    Raises:
        ConfigError: The session is closed or bound to no database for the jobs, or it is none that can hold them.
    """
    try:
        # A session may have several databases; the one for this statement is wanted.
        bind = session if isinstance(session, Connection) else session.get_bind(clause=insert(jobs))
        if bind.dialect.name not in DIALECTS:
            raise ConfigError(
                f"jobs are kept in PostgreSQL or SQLite, and this session is one of {bind.dialect.name}; "
                "use one of the database of the jobs"
            )
        if isinstance(session, Session):
            return in_schema(session.connection(bind_arguments={"bind": bind}), schema)
        if not session.in_transaction():
            session.begin()
    except UnboundExecutionError as error:
        raise ConfigError(
            f"this {type(session).__name__} is bound to no database for the jobs; bind it to theirs, "
            "or add jobs.metadata.tables['aquila_jobs'] to its binds"
        ) from error
    except InvalidRequestError as error:
        raise ConfigError(why_not(session, error)) from error
    return in_schema(session, schema)


def why_not(session: object, error: InvalidRequestError) -> str:
    """Say why nothing can be added in a session, in SQLAlchemy's words."""
    if isinstance(error, MissingGreenlet):
        return "this session has an asynchronous engine; write `await jobs.aenqueue(session, message)`"
    said = str(error).splitlines()[0].rstrip(".")
    return f"nothing can be enqueued in this {type(session).__name__}: {said}; give one that is in use"


def check_database(connection: Connection, *, database_id: str, name: str) -> None:
    """Check that jobs which are added on a connection are committed, rolled back and run.

    Args:
        connection: The host's, in a transaction, as `connection_of` gives it.
        database_id: The id in the database of the jobs.
        name: That database, for messages.

    Raises:
        ConfigError: Each statement is committed by itself, or the database is another one or has other tables.
        SQLAlchemyError: A statement failed.
    """
    if _commits_each_statement(connection):
        raise ConfigError(
            "this connection is in AUTOCOMMIT, where no rollback could take a job back; "
            "use a transaction, or `send`"
        )
    try:
        found = _database_id(connection, name)
    except SQLAlchemyError as error:
        meant = storage_error(error, _name(connection))
        if isinstance(meant, ConfigError):
            raise meant from error
        raise
    if found != database_id:
        raise ConfigError(
            f"this session's database {_name(connection)} is not that of the jobs, {name}, whose workers would never see "
            "the job; use a session of that one, or set AQUILA_DATABASE_URL"
        )


def _database_id(connection: Connection, name: str) -> str:
    schema = bare(connection)[1]
    ids = _KNOWN.setdefault(connection.engine, {})
    known = ids.get(schema)
    if known is None and (version := current_version(connection)) != HEAD:
        if version is None:
            raise ConfigError(
                f"this session's database {_name(connection)} has no tables of the jobs, which are in {name}; use a session "
                "of that one, or set AQUILA_DATABASE_URL and run `aquila db upgrade`"
            )
        raise ConfigError(version_problem(version, _name(connection)))
    # A schema for each tenant: on PostgreSQL two connections of an engine may see different tables. On SQLite this would
    # be a read before the first write of a transaction, which then may fail at once instead of waiting for its turn.
    if known is None or connection.dialect.name == "postgresql":
        known = str(connection.execute(select(databases.c.id)).scalar_one())
        ids[schema] = known
    return known


def _commits_each_statement(connection: Connection) -> bool:
    pooled = connection.connection
    if connection.dialect.name == "postgresql":
        return connection.dialect.detect_autocommit_setting(cast("Any", pooled.dbapi_connection))
    # `sqlite3` has many ways to begin a transaction. One counts that has begun, or begins by itself with the first write.
    driver: Any = pooled.driver_connection
    begins_itself = driver.isolation_level is not None and getattr(driver, "autocommit", -1) == -1
    return not (driver.in_transaction or begins_itself)


def _name(connection: Connection) -> str:
    # Without its query, where a password may be.
    return connection.engine.url.set(query={}).render_as_string(hide_password=True)
