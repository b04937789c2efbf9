"""The jobs inside one transaction of the host's: what a test rolls back takes its jobs with it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from aquila.errors import ConfigError
from jobs.database import Database, storage_error
from jobs.in_schema import in_schema

P = ParamSpec("P")
T = TypeVar("T")


class JoinedDatabase(Database):
    """Works on a connection that somebody else has opened, each time in a savepoint, one thread at a time."""

    def __init__(self, connection: Connection, schema: str | None = None) -> None:
        """Take the connection; it stays its owner's.

        Args:
            connection: In a transaction.
            schema: PostgreSQL's schema that the tables are in; None leaves that to the connection.

        Raises:
            ConfigError: It is no connection that can be shared, or has not begun a transaction.
        """
        if not isinstance(connection, Connection):
            raise ConfigError(
                f"connection= is a synchronous SQLAlchemy Connection, not {type(connection).__name__}; "
                "of a Session give session.connection(), with asynchronous engines use database_url="
            )
        if connection.dialect.name not in {"sqlite", "postgresql"}:
            raise ConfigError(f"the jobs run on SQLite or PostgreSQL, not on {connection.dialect.name}")
        if not connection.in_transaction():
            raise ConfigError("connection= has begun no transaction; call connection.begin() first")
        self.engine = connection.engine
        self.name = self.engine.url.render_as_string(hide_password=True)
        self.locks_rows = connection.dialect.name == "postgresql"
        self.schema = schema if self.locks_rows else None
        self._connection = in_schema(connection, self.schema)
        self._turn = threading.RLock()
        _begin_really(connection)

    def read(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work(connection, ...)` in a savepoint.

        Raises:
            StorageError: The database failed.
            ConfigError: Its tables are missing.
        """
        return self.write(work, *args, **kwargs)

    def write(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work(connection, ...)` in a savepoint; its owner commits it or rolls it back.

        Raises:
            StorageError: The database failed, and nothing is written.
            ConfigError: Its tables are missing.
        """
        with _translated(self.name), self._turn, self._connection.begin_nested():
            return work(self._connection, *args, **kwargs)

    def close(self) -> None:
        """Do nothing: the connection is not ours."""


@contextmanager
def _translated(name: str) -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        raise storage_error(error, name) from error


def _begin_really(connection: Connection) -> None:
    if connection.dialect.name != "sqlite":
        return
    # Python's driver begins at the first change. A savepoint before that would be the whole transaction, and its release
    # a commit.
    driver: Any = connection.connection.dbapi_connection
    if not driver.in_transaction:
        connection.exec_driver_sql("BEGIN")
