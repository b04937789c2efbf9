"""Fixtures for tests of the jobs: `pytest_plugins = ["job_fixtures"]`."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from job_postgres import Postgres
from job_workers import LEASE, OUTAGE_LEASE, Valkey

import jobs
from jobs.database import Database
from jobs.migrate import prepare, upgrade
from jobs.settings import sync_url
from jobs.testing.temporary import migrated

#: Where rows can be. `database` runs a test on each; a test says `@pytest.mark.parametrize("place", BOTH, indirect=True)`
#: to have its jobs on each, or `("database", ["sqlite"], indirect=True)` to have one.
BOTH = ["sqlite", "postgresql"]
#: The database of a server's that has the tables; the tests' own are copies of it.
MIGRATED = "migrated"


@pytest.fixture(scope="session")
def shared_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    server = Valkey(tmp_path_factory.mktemp("valkey"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def shared_postgres() -> Iterator[Postgres]:
    with _migrated_postgres() as server:
        yield server


@pytest.fixture
def place(
    shared_valkey: Valkey, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[None]:
    """The jobs of one test: a database of its own, a wire of its own, short leases."""
    if getattr(request, "param", "sqlite") == "sqlite":
        _put_migrated(Path(os.environ["AQUILA_STATE_DIR"]))
        with _placed(shared_valkey, monkeypatch):
            yield
        return
    server: Postgres = request.getfixturevalue("shared_postgres")
    # Emptying one takes a tenth of the time that making one takes.
    url = server.free.pop() if server.free else server.new_database(template=MIGRATED)
    _name_anew(server, url)
    monkeypatch.setenv("AQUILA_DATABASE_URL", url)
    with _placed(shared_valkey, monkeypatch):
        yield
    if server.emptied(url):
        server.free.append(url)


@pytest.fixture
def own_postgres(shared_valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> Iterator[Postgres]:
    """A place whose PostgreSQL is for one test, which may crash it or let it hang."""
    with _migrated_postgres() as server:
        monkeypatch.setenv("AQUILA_DATABASE_URL", _copy_of(server))
        with _placed(shared_valkey, monkeypatch, lease=OUTAGE_LEASE):
            yield server


@pytest.fixture
def own_valkey(place: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Valkey]:
    """A server for one test, which may stop or flush it."""
    server = Valkey(tmp_path)
    server.start()
    monkeypatch.setenv("AQUILA_REDIS_URL", server.url)
    jobs.close()
    jobs.configure(lease=LEASE, grace=0.1)
    yield server
    server.stop()


@pytest.fixture(params=BOTH)
def database(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Database]:
    """A database with the tables: a test that takes it runs on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        opened = Database(f"sqlite:///{tmp_path / 'jobs.db'}")
        prepare(opened, own=True)
    else:
        server: Postgres = request.getfixturevalue("shared_postgres")
        opened = Database(sync_url(_copy_of(server)))
    yield opened
    opened.close()


def _put_migrated(state: Path) -> None:
    """Put a file with the tables, and an id of its own, where the jobs' own one is: migrating takes a tenth of a second."""
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = state / "aquila.db"
    file.write_bytes(migrated())
    with closing(sqlite3.connect(file)) as opened:
        opened.execute("UPDATE aquila_database SET id = ?", (uuid4().hex,))
        opened.commit()


def _copy_of(server: Postgres) -> str:
    """Make a database with the tables and an id of its own, which is what its wire is called by; gives its URL."""
    url = server.new_database(template=MIGRATED)
    _name_anew(server, url)
    return url


def _name_anew(server: Postgres, url: str) -> None:
    name = url.partition("@/")[2].partition("?")[0]
    server.execute("UPDATE aquila_database SET id = md5(random()::text)", database=name)


@contextmanager
def _placed(valkey: Valkey, monkeypatch: pytest.MonkeyPatch, lease: float = LEASE) -> Iterator[None]:
    monkeypatch.setenv("AQUILA_REDIS_URL", valkey.url)
    monkeypatch.setenv("AQUILA_CASSETTES", "off")
    jobs.close()
    jobs.configure(lease=lease, grace=0.1)
    yield
    jobs.close()


@contextmanager
def _migrated_postgres() -> Iterator[Postgres]:
    server = Postgres()
    try:
        server.start()
        migrated = Database(sync_url(server.create_database(MIGRATED)))
        upgrade(migrated)
        migrated.close()
        yield server
    finally:
        server.close()
