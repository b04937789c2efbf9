"""The engine and its two kinds of transaction. There is one synchronous path; the loop reaches it through a thread."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from aquila.errors import AquilaError, ConfigError
from jobs.errors import StorageError
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
    ("database is locked", "another process holds it; end that process or use PostgreSQL"),
)


class Database:
    """Runs functions of a connection in a transaction, and names cause and remedy when that fails."""

    def __init__(self, url: str) -> None:
        """Prepare the engine; nothing is opened yet.

        Raises:
            ConfigError: The URL or its driver cannot be used.
        """
        self.engine = open_engine(url)
        #: The URL without its password, for messages.
        self.name = self.engine.url.render_as_string(hide_password=True)
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

        Raises:
            StorageError: The database failed, and nothing is written.
            ConfigError: Its tables are missing.
        """
        with _translated(self.name), self.engine.begin() as connection:
            return work(connection, *args, **kwargs)

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


def open_engine(url: str) -> Engine:
    """Make an engine that waits for locks instead of failing, and begins writes as writes.

    Raises:
        ConfigError: The URL or its driver cannot be used.
    """
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() not in {"sqlite", "postgresql"}:
            raise ConfigError(f"the jobs run on SQLite or PostgreSQL, not on {parsed.get_backend_name()}")
        if parsed.get_backend_name() == "postgresql":
            return create_engine(
                parsed, pool_pre_ping=True, max_overflow=20, connect_args={"connect_timeout": 10}
            )
        engine = create_engine(parsed, max_overflow=40, connect_args={"timeout": BUSY_SECONDS})
    except (ArgumentError, NoSuchModuleError) as error:
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


@contextmanager
def _translated(name: str) -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        raise storage_error(error, name) from error


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
    if "no such table" in lowered or ("relation" in lowered and "does not exist" in lowered):
        return ConfigError(f"the tables of the jobs are missing in {name}; run `aquila db upgrade`")
    for words, remedy in REMEDIES:
        if words in lowered:
            return StorageError(f"database {name}: {said}; {remedy}")
    return StorageError(f"database {name} cannot be used: {said}; check AQUILA_DATABASE_URL and that it runs")
