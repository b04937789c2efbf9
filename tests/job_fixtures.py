"""Fixtures for tests of the jobs: `pytest_plugins = ["job_fixtures"]`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from job_workers import LEASE, Valkey

import jobs
from jobs.database import Database
from jobs.migrate import prepare


@pytest.fixture(scope="session")
def shared_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    server = Valkey(tmp_path_factory.mktemp("valkey"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def place(shared_valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The jobs of one test: a database of its own, a wire of its own, short leases."""
    monkeypatch.setenv("AQUILA_REDIS_URL", shared_valkey.url)
    monkeypatch.setenv("AQUILA_CASSETTES", "off")
    jobs.close()
    jobs.configure(lease=LEASE, grace=0.1)
    yield
    jobs.close()


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


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(f"sqlite:///{tmp_path / 'jobs.db'}")
    prepare(opened, own=True)
    yield opened
    opened.close()
