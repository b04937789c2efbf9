"""What stands in the place of this process's database and wire while a sandbox is open."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime

import dramatiq
from sqlalchemy import Connection, Transaction, select

from aquila.errors import ConfigError
from jobs.broker import install, installed, runtime
from jobs.database import Database
from jobs.migrate import prepare
from jobs.postman import Postman
from jobs.registry import actors
from jobs.runtime import Runtime
from jobs.settings import JobsSettings, read_jobs_settings
from jobs.sqltypes import db_now
from jobs.testing.nowire import NOWHERE, NoWire
from jobs.wire import Wire

#: Held while sandboxes take and leave their places, which they may do in any order.
_PLACES = threading.RLock()


class IdlePostman(Postman):
    """Hands nothing over."""

    def watch(self, transaction: Transaction, job_ids: Sequence[str]) -> None:
        """Do nothing."""


class StandIn(Runtime):
    """Rows of the test's own, and no Redis."""

    stands_in = True

    def __init__(
        self,
        settings: JobsSettings,
        *,
        database_url: str,
        open_database: Callable[[], Database],
        middleware: Iterable[dramatiq.Middleware],
        run: Callable[[Sequence[str]], None] | None,
    ) -> None:
        """Prepare it; nothing is opened yet.

        Args:
            settings: What was configured before; the database and Redis of it are not touched.
            database_url: The sandbox's, for whoever asks the settings.
            open_database: Opens the rows' database, also a second time.
            middleware: Dramatiq middleware of the host.
            run: Runs the jobs with these ids as soon as they are sent; None leaves them in their rows.
        """
        # The schema goes with the server.
        schema = None if database_url.startswith("sqlite") else settings.schema
        chosen = replace(
            settings, database_url=database_url, schema=schema, own_database=False, redis_url=NOWHERE
        )
        super().__init__(chosen, middleware)
        self._open_database = open_database
        self._nowire = NoWire(middleware=middleware, run=run)
        self._idle_postman = IdlePostman(self.database, self.wire)
        self._inline = run is not None
        self._since: datetime | None = None
        #: Whether its block is open.
        self.in_use = False
        #: What was there when it took its place.
        self.before: Runtime | None = None

    @property
    def since(self) -> datetime:
        """When the sandbox was opened, on the database's clock: older jobs are none of its business.

        Raises:
            ConfigError: It was never opened.
        """
        if self._since is None:
            raise ConfigError("the sandbox is not open; enter it with `with jobs.testing.sandbox():`")
        return self._since

    def database(self) -> Database:
        """Give the database.

        Raises:
            ConfigError: Its tables are missing or not those of this version.
            StorageError: It cannot be reached.
        """
        with self._database_lock:
            if self._database is None:
                opened = self._open_database()
                self._database_id = prepare(opened, own=False)
                self._since = self._since or opened.read(_now)
                self._database = opened
            return self._database

    @property
    def database_id(self) -> str:
        """The database's id, by which a host's transaction is known to be in the same one."""
        self.database()
        return self._database_id

    def wire(self) -> Wire:
        """Give the wire to nowhere."""
        return self.nowire()

    def nowire(self) -> NoWire:
        """Give the wire to nowhere, with what only it has."""
        for spec in actors().values():
            self._nowire.declare(spec)
        return self._nowire

    def postman(self) -> Postman:
        """Give one that leaves what the host commits in its rows.

        Raises:
            ConfigError: Jobs are to run where they are sent.
        """
        if self._inline:
            raise ConfigError(
                "jobs.enqueue cannot run a job inline, which may be run after the commit only: "
                "use sandbox(mode='manual') and call drain_queue() after the commit"
            )
        return self._idle_postman

    def redis_url(self) -> str:
        """Give an address at which nobody answers."""
        return NOWHERE

    def revive(self) -> None:
        """Do nothing: no server is ours."""

    def take_place(self) -> None:
        """Stand in this process's place from now on."""
        with _PLACES:
            self.before, self.in_use = install(self), True

    def close(self) -> None:
        """Close the database. As long as the sandbox is open, `jobs.close()` leaves it in place."""
        super().close()
        with _PLACES:
            if self.in_use and not isinstance(installed(), StandIn):
                # The code under test may close the jobs, as a server does when it stops; its next use must not find what
                # is configured outside.
                install(self)

    def retire(self) -> None:
        """Close it for good, and put back what was there before, unless a sandbox that was opened later still is."""
        with _PLACES:
            self.in_use = False
            now = installed()
            if now is self or not isinstance(now, StandIn):
                install(self._below())
        self.close()

    def _below(self) -> Runtime | None:
        before = self.before
        while isinstance(before, StandIn) and not before.in_use:
            before = before.before
        return before


def stand_in() -> StandIn:
    """Give the sandbox that is open.

    Raises:
        ConfigError: None is.
    """
    used = runtime()
    if not isinstance(used, StandIn):
        raise ConfigError(
            "no sandbox is open: use the fixture aquila_jobs, or `with jobs.testing.sandbox():`; "
            "tests must not run the jobs of a database that others serve"
        )
    return used


def settings_now() -> JobsSettings:
    """Give what is configured at present, else what the environment says.

    Raises:
        ConfigError: The environment has a value that cannot be used.
    """
    known = installed()
    return read_jobs_settings() if known is None else known.settings


def _now(connection: Connection) -> datetime:
    moment: datetime = connection.execute(select(db_now())).scalar_one()
    return moment
