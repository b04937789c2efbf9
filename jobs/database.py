"""The engine and its two kinds of transaction. There is one synchronous path; the loop reaches it through a thread."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    NoSuchModuleError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout

from aquila.errors import AquilaError, ConfigError
from jobs.errors import NotStorable, StorageError
from jobs.threads import in_thread

P = ParamSpec("P")
T = TypeVar("T")

#: Seconds to wait for another process's write to SQLite.
BUSY_SECONDS = 15
#: SQLite's word for it may mean each of these.
NO_ROOM = (
    "the disk is full, a limit on file sizes is reached, or the disk is broken: "
    "free space, raise the limit, or set AQUILA_STATE_DIR to another disk"
)
#: What SQLite says, and what helps. Anything else is reported in the driver's own words.
REMEDIES = (
    ("disk is full", "free space, or set AQUILA_STATE_DIR to another disk"),
    ("disk i/o error", NO_ROOM),
    ("unable to open database file", "make its folder, or set AQUILA_STATE_DIR to one you may write to"),
    ("readonly database", "let this user write to the file and its folder"),
    ("file is not a database", "the file is something else or damaged; move it away"),
    ("malformed", "the file is damaged; move it away or restore a copy"),
    (
        "database is locked",
        (
            "another transaction holds it. If it is your own, use jobs.enqueue(session, ...) instead of send, and run "
            "`aquila db upgrade` before; else end that process, or use PostgreSQL"
        ),
    ),
    ("password authentication failed", "mend the user and the password in AQUILA_DATABASE_URL"),
    ("no password supplied", "write AQUILA_DATABASE_URL as postgresql://USER:PASSWORD@HOST/NAME"),
    ('fatal:  role "', "mend the user in AQUILA_DATABASE_URL, or make that role"),
    ('fatal:  database "', "mend the name in AQUILA_DATABASE_URL, or make it with `createdb NAME`"),
    (
        "no pg_hba.conf entry",
        "add ?sslmode=require to AQUILA_DATABASE_URL, or let the server accept this user and host",
    ),
    ("failed to resolve host", "mend the host in AQUILA_DATABASE_URL"),
    ("connection refused", "start PostgreSQL there, or mend host and port in AQUILA_DATABASE_URL"),
    ("too many c", "raise the server's max_connections, or run fewer workers"),
    ("remaining connection slots", "raise the server's max_connections, or run fewer workers"),
    ("permission denied", "grant this user its rights on the schema and the tables, or use their owner"),
    ("read-only transaction", "this is a copy; name the primary server in AQUILA_DATABASE_URL"),
    ("no space left on device", "free space on the disk of the database's server"),
    ("the database system is", "it starts or stops; try again in a moment"),
)
#: Of PostgreSQL's codes: the transaction met another one and is to be run once more; a table or a column is missing.
MEETINGS = {"40001", "40P01"}
MISSING = {"42P01", "42703"}
#: How often such a transaction is run in all.
TRIES = 3
#: A connection whose other end has gone without a word is given up after these, in seconds and milliseconds.
LIVELINESS = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
#: A process that stops in the middle of a write must not keep its rows locked for ever.
LET_GO = "SET LOCAL idle_in_transaction_session_timeout = '30s'"


class Database:
    """Runs functions of a connection in a transaction, and names cause and remedy when that fails."""

    #: PostgreSQL's schema that the tables are in; None leaves that to the server.
    schema: str | None = None

    def __init__(self, url: str, *, schema: str | None = None) -> None:
        """Prepare the engine; nothing is opened yet.

        Args:
            url: An SQLAlchemy URL of a synchronous driver.
            schema: PostgreSQL's schema that the tables are in; None leaves that to the server.

        Raises:
            ConfigError: The URL or its driver cannot be used.
        """
        self.engine = open_engine(url, schema=schema)
        self.schema = schema
        #: The URL without its password, for messages.
        self.name = _shown(self.engine.url)
        #: Whether it locks rows one by one; SQLite locks the whole file.
        self.locks_rows = self.engine.dialect.name == "postgresql"

    def read(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work(connection, ...)` in a transaction that only reads.

        Raises:
            StorageError: The database failed.
            ConfigError: Its tables are missing.
        """
        with _translated(self.name), self.engine.connect() as opened:
            connection = opened.execution_options(aquila_reads=True)
            with connection.begin():
                return work(connection, *args, **kwargs)

    def write(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work(connection, ...)` in a transaction; it is committed when `work` returns.

        `work` is run once more when the transaction met another one and PostgreSQL ended it.

        Raises:
            StorageError: The database failed, and nothing is written.
            NotStorable: A value does not fit into the database.
            ConfigError: Its tables are missing.
        """
        tries = 0
        while True:
            tries += 1
            try:
                with _translated(self.name), self.engine.begin() as connection:
                    return work(connection, *args, **kwargs)
            except StorageError as error:
                if tries == TRIES or _sqlstate(error.__cause__) not in MEETINGS:
                    raise

    async def aread(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Do as `read` does, in a thread. Cancelling waits for the thread.

        Raises:
            StorageError: The database failed.
            ConfigError: Its tables are missing.
        """
        return await in_thread(partial(self.read, work, *args, **kwargs))

    async def awrite(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Do as `write` does, in a thread. Cancelling waits for the thread.

        Raises:
            StorageError: The database failed, and nothing is written.
            ConfigError: Its tables are missing.
        """
        return await in_thread(partial(self.write, work, *args, **kwargs))

    def close(self) -> None:
        """Close the pooled connections."""
        self.engine.dispose()


def open_engine(url: str, *, schema: str | None = None) -> Engine:
    """Make an engine that waits for locks instead of failing, and begins writes as writes.

    Args:
        url: An SQLAlchemy URL of a synchronous driver.
        schema: PostgreSQL's schema that its statements mean; None leaves that to the server.

    Raises:
        ConfigError: The URL or its driver cannot be used.
    """
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() not in {"sqlite", "postgresql"}:
            raise ConfigError(f"the jobs run on SQLite or PostgreSQL, not on {parsed.get_backend_name()}")
        if parsed.get_backend_name() == "postgresql":
            return _open_postgresql(parsed, schema)
        engine = create_engine(
            parsed, max_overflow=40, hide_parameters=True, connect_args={"timeout": BUSY_SECONDS}
        )
    # SQLAlchemy leaves a port that is no number to int().
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        raise ConfigError(
            "the database URL cannot be read; write sqlite:///FILE or postgresql://HOST/NAME"
        ) from error
    except ImportError as error:
        raise ConfigError(
            f"the database's driver {error.name} is missing; pip install 'aquila-llm[jobs]'"
        ) from error
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _open_postgresql(url: URL, schema: str | None) -> Engine:
    engine = create_engine(
        url,
        pool_pre_ping=True,
        max_overflow=20,
        # Whatever the server's default is: the statements are written for this one.
        isolation_level="READ COMMITTED",
        # Prompts and outputs do not belong into tracebacks and logs.
        hide_parameters=True,
        # Prepared statements are lost behind a pooler that changes the server's session from transaction to transaction.
        connect_args={
            "prepare_threshold": None,
            **{k: v for k, v in LIVELINESS.items() if k not in url.query},
        },
    )
    event.listen(engine, "begin", _beginning(schema))
    return engine


def _shown(url: URL) -> str:
    secret = {name: "***" for name in ("password", "sslpassword") if name in url.query}
    return url.update_query_dict(secret).render_as_string(hide_password=True)


@contextmanager
def _translated(name: str) -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        raise storage_error(error, name) from error
    except (ValueError, RecursionError) as error:
        # A half surrogate, a number of 5,000 digits, a list in a list in a list: the driver has sent nothing.
        raise NotStorable(f"a value cannot be stored in {name}: {error}") from error


def _sqlstate(error: BaseException | None) -> str | None:
    return getattr(getattr(error, "orig", None), "sqlstate", None)


def _beginning(schema: str | None) -> Callable[[Connection], None]:
    # For one transaction each: behind a pooler the next one may have another session of the server's.
    there = [f'SET LOCAL search_path TO "{schema}"'] if schema is not None else []
    read, write = "; ".join(there), "; ".join([LET_GO, *there])

    def begin(connection: Connection) -> None:
        said = read if connection.get_execution_options().get("aquila_reads", False) else write
        if said:
            connection.exec_driver_sql(said)

    return begin


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    # The driver's own idea of when to begin upgrades read locks, and two upgrades dead-lock.
    connection.isolation_level = None
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").close()
        except sqlite3.OperationalError as error:
            # Of processes that open a new file together, one turns it to WAL; SQLite does not let the others wait.
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    reads = connection.get_execution_options().get("aquila_reads", False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def storage_error(error: SQLAlchemyError, name: str) -> AquilaError:
    """Say in one line what the database's error means and what helps."""
    cause = str(getattr(error, "orig", None) or error).strip().splitlines()
    said = cause[0] if cause else type(error).__name__
    lowered = said.lower()
    if "no such table" in lowered or _sqlstate(error) in MISSING:
        return ConfigError(
            f"the tables of the jobs are missing or too old in {name}; run `aquila db upgrade`"
        )
    if isinstance(error, PoolTimeout):
        return StorageError(
            f"database {name}: all connections of this process are in use; it is asked too slowly"
        )
    if isinstance(error, DataError | IntegrityError) or not isinstance(error, DBAPIError):
        return NotStorable(f"a value cannot be stored in {name}: {said}")
    for words, remedy in REMEDIES:
        if words in lowered:
            return StorageError(f"database {name}: {said}; {remedy}")
    return StorageError(f"database {name} cannot be used: {said}; check AQUILA_DATABASE_URL and that it runs")
