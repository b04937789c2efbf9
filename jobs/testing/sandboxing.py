"""`sandbox`: the jobs of this process in a database of the test's own, with no Redis and no worker."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, Self, get_args

import dramatiq
from sqlalchemy import Connection

from aquila.errors import ConfigError
from jobs.database import Database
from jobs.settings import sync_url
from jobs.testing.draining import run_sent
from jobs.testing.joined import JoinedDatabase
from jobs.testing.standin import StandIn, settings_now
from jobs.testing.temporary import open_temporary
from jobs.threads import in_thread

Mode = Literal["manual", "inline"]


class Sandbox:
    """Where the jobs live inside its block, for every thread and task of the process; made by `sandbox`."""

    def __init__(
        self,
        mode: Mode,
        database_url: str | None,
        connection: Connection | None,
        middleware: Iterable[dramatiq.Middleware],
    ) -> None:
        #: Whether a sent job waits in its row (`manual`) or runs at once (`inline`).
        self.mode = mode
        self._database_url = database_url
        self._connection = connection
        self._middleware = tuple(middleware)
        self._stack = ExitStack()
        self._is_open = False

    def __enter__(self) -> Self:
        if self._is_open:
            raise ConfigError("the sandbox is open already; make another one with jobs.testing.sandbox()")
        with ExitStack() as stack:
            used = self._stand_in(stack)
            stack.callback(used.retire)
            used.take_place()
            used.database()
            self._stack, self._is_open = stack.pop_all(), True
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._is_open = False
        self._stack.close()

    async def __aenter__(self) -> Self:
        return await in_thread(self.__enter__)

    async def __aexit__(self, *exc_info: object) -> None:
        await in_thread(self.__exit__)

    def _stand_in(self, stack: ExitStack) -> StandIn:
        settings = settings_now()
        open_database: Callable[[], Database]
        if self._connection is not None:
            url, open_database = self._join(self._connection, settings.schema)
        elif self._database_url is not None:
            url = sync_url(self._database_url)
            open_database = partial(
                Database, url, schema=None if url.startswith("sqlite") else settings.schema
            )
        else:
            folder = stack.enter_context(TemporaryDirectory(prefix="aquila-jobs-"))
            file = Path(folder) / "jobs.db"
            url, open_database = f"sqlite:///{file}", partial(open_temporary, file)
        return StandIn(
            settings,
            database_url=url,
            open_database=open_database,
            middleware=self._middleware,
            run=run_sent if self.mode == "inline" else None,
        )

    @staticmethod
    def _join(connection: Connection, schema: str | None) -> tuple[str, Callable[[], Database]]:
        joined = JoinedDatabase(connection, schema)
        return joined.name, lambda: joined


def sandbox(
    *,
    mode: Mode = "manual",
    database_url: str | None = None,
    connection: Connection | None = None,
    middleware: Iterable[dramatiq.Middleware] = (),
) -> Sandbox:
    """Let the jobs of this process live in a database of the test's own, in a `with` or `async with` block.

    Nothing is sent to Redis and no worker runs: a sent job stays in its row until `drain_queue` runs it. What was
    configured before is back after the block, its queues and budgets hold inside too.

    Args:
        mode: `"inline"` runs each job at once, where it is sent.
        database_url: A database with the tables in it; None makes a SQLite file for the block. Its rows stay after the
            block; rows that are older than the block are left alone.
        connection: A connection inside a transaction, in which everything happens then; whoever owns it rolls it back.
        middleware: Dramatiq middleware, called around each attempt as in a worker.

    Raises:
        ConfigError: There is no such mode, or two places for the rows are named.
    """
    if mode not in get_args(Mode):
        raise ConfigError(f"mode={mode!r} of a sandbox is 'manual' or 'inline'")
    if database_url is not None and connection is not None:
        raise ConfigError(
            "say where a sandbox's rows are with database_url= or with connection=, not with both"
        )
    return Sandbox(mode, database_url, connection, middleware)
