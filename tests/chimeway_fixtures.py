"""Fixtures for tests of chimeway: `pytest_plugins = ["job_fixtures", "chimeway_fixtures"]`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from chimeway_notifiers import MovedClock, Recorder, told
from sqlalchemy import Engine, create_engine, event

import jobs
from chimeway import store


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
def email() -> Recorder:
    return Recorder()


@pytest.fixture
def sync(place: None, clock: MovedClock, email: Recorder) -> Iterator[None]:
    """A place whose deliveries are made by the process that triggers."""
    with told(dispatcher="sync", channels={"email": email}, clock=clock):
        yield


@pytest.fixture
def queued(place: None, clock: MovedClock, email: Recorder) -> Iterator[None]:
    """A place whose deliveries are jobs."""
    with told(dispatcher="dramatiq", channels={"email": email}, clock=clock):
        yield


@pytest.fixture
def engine(place: None) -> Iterator[Engine]:
    """The host's own engine to the database of the jobs, as SQLAlchemy's documentation makes one for savepoints."""
    store.database()
    made = create_engine(jobs.database_url())
    if made.dialect.name == "sqlite":
        event.listen(made, "connect", lambda opened, _: setattr(opened, "isolation_level", None))
        event.listen(made, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    yield made
    made.dispose()
