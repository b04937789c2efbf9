"""`Runtime`: the database and the wire of a process, each opened at its first use."""

from __future__ import annotations

import threading
from collections.abc import Iterable

import dramatiq

from aquila.errors import ConfigError
from aquila.settings import ensure_state_dir
from aquila.shared_server import Attachment
from jobs.database import Database
from jobs.embedded import attach_valkey
from jobs.errors import BrokerUnavailable
from jobs.migrate import prepare, upgrade
from jobs.postman import Postman
from jobs.registry import actors
from jobs.settings import JobsSettings
from jobs.wire import Wire


class Runtime:
    """The database and the wire of this process, each opened at its first use."""

    #: Whether it only takes the real one's place for a while: then `configure` checks its values and changes nothing.
    stands_in = False

    def __init__(self, settings: JobsSettings, middleware: Iterable[dramatiq.Middleware] = ()) -> None:
        self.settings = settings
        self._middleware = tuple(middleware)
        self._lock = threading.RLock()
        # Apart, because starting an embedded server takes a while, and a host's open transaction must not wait for that.
        self._database_lock = threading.RLock()
        self._database: Database | None = None
        self._database_id = ""
        self._wire: Wire | None = None
        self._postman: Postman | None = None
        self._attachment: Attachment | None = None

    def database(self) -> Database:
        """Give the database, opened and with its tables as this version needs them.

        Raises:
            ConfigError: It cannot be used as configured, or its tables are missing.
            StorageError: It cannot be reached.
        """
        with self._database_lock:
            if self._database is None:
                if self.settings.own_database:
                    ensure_state_dir(self.settings.state_dir)
                database = Database(self.settings.database_url, schema=self.settings.schema)
                self._database_id = prepare(database, own=self.settings.own_database)
                self._database = database
            return self._database

    def wire(self) -> Wire:
        """Give the wire, with the embedded server started if no Redis is configured.

        Raises:
            ConfigError: No Redis is configured and the embedded one cannot run, or the database cannot be used.
            StorageError: The database, whose id names the queues, cannot be reached.
        """
        with self._lock:
            if self._wire is None:
                self.database()
                self._wire = Wire(
                    self.redis_url(),
                    database_id=self._database_id,
                    lease=self.settings.lease,
                    middleware=self._middleware,
                )
            for spec in actors().values():
                self._wire.declare(spec)
            return self._wire

    def upgrade(self) -> bool:
        """Bring the tables to this version; say whether there was anything to do.

        Raises:
            ConfigError: They belong to a newer Aquila, or the database cannot be used as configured.
            StorageError: The database failed.
        """
        if self.settings.own_database:
            ensure_state_dir(self.settings.state_dir)
        database = Database(self.settings.database_url, schema=self.settings.schema)
        try:
            return upgrade(database)
        finally:
            database.close()

    @property
    def database_id(self) -> str:
        """The database's own name, by which a host's transaction is known to be in the same one.

        Raises:
            ConfigError: It cannot be used as configured, or its tables are missing.
            StorageError: It cannot be reached.
        """
        self.database()
        return self._database_id

    def postman(self) -> Postman:
        """Give what hands over the jobs that hosts add in transactions of their own."""
        with self._database_lock:
            if self._postman is None:
                self._postman = Postman(self.database, self.wire)
            return self._postman

    def redis_url(self) -> str:
        """Give the URL of Redis: the configured one, else that of the embedded server, which then runs.

        Raises:
            ConfigError: The embedded server cannot run.
        """
        if self.settings.redis_url is not None:
            return self.settings.redis_url
        with self._lock:
            if self._attachment is None:
                self._attachment = attach_valkey(self.settings.state_dir)
            return str(self._attachment.address["url"])

    def revive(self) -> None:
        """Start the embedded server again if it was ours to start and has died. Its URL and data stay.

        Raises:
            BrokerUnavailable: It did not start.
        """
        if self.settings.redis_url is not None:
            return
        try:
            again = attach_valkey(self.settings.state_dir)
        except ConfigError as error:
            raise BrokerUnavailable(str(error)) from error
        with self._lock:
            old, self._attachment = self._attachment, again
        if old is not None:
            old.release()

    def anew(self) -> Runtime:
        """Give one with the same settings and nothing opened."""
        return Runtime(self.settings, self._middleware)

    def close(self) -> None:
        """Close what was opened; the embedded server stops a while after its last user."""
        with self._database_lock:
            postman, self._postman = self._postman, None
        if postman is not None:
            # Not under the lock, which its thread may be waiting for.
            postman.close()
        with self._lock, self._database_lock:
            if self._wire is not None:
                self._wire.close()
            if self._database is not None:
                self._database.close()
            if self._attachment is not None:
                self._attachment.release()
            self._wire = self._database = self._attachment = None
