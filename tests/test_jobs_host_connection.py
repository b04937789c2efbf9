from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from job_actors import add
from job_hosts import (
    async_engine,
    delivered,
    host_engine,
    is_known,
    plain_engine,
    take_a_wire_of_its_own,
    url,
)
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, scoped_session, sessionmaker

import jobs
from aquila.errors import ConfigError
from jobs.database import Database
from jobs.enqueueing import aenqueue, aenqueue_all, enqueue
from jobs.handle import JobHandle
from jobs.migrate import upgrade

pytest_plugins = ["job_fixtures"]

pytestmark = [pytest.mark.usefixtures("a_wire_of_its_own")]
on_both = pytest.mark.parametrize("place", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def a_wire_of_its_own(place: None) -> None:
    take_a_wire_of_its_own()


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)


@pytest.fixture
def engine(a_wire_of_its_own: None) -> Iterator[Engine]:
    """The host's own, with a table of its own."""
    opened = host_engine()
    Base.metadata.create_all(opened)
    yield opened
    opened.dispose()


@pytest.fixture
async def aengine(a_wire_of_its_own: None) -> AsyncIterator[AsyncEngine]:
    opened = async_engine()
    yield opened
    await opened.dispose()


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Engine]:
    """Another database of jobs."""
    other = Database(f"sqlite:///{tmp_path / 'elsewhere.db'}")
    upgrade(other)
    yield other.engine
    other.close()


def refused(session: Any, words: str) -> None:
    message = add.message(1, 1)
    with pytest.raises(ConfigError, match=words) as caught:
        enqueue(session, message)
    assert "\n" not in str(caught.value)
    assert not is_known(JobHandle(message.job_id))


@on_both
def test_autocommit_is_refused_because_no_rollback_could_take_a_job_back() -> None:
    plain = plain_engine()
    with plain.connect() as connection:
        refused(connection.execution_options(isolation_level="AUTOCOMMIT"), "AUTOCOMMIT")
    with Session(plain.execution_options(isolation_level="AUTOCOMMIT")) as session:
        refused(session, "AUTOCOMMIT")
    whole = create_engine(url(), isolation_level="AUTOCOMMIT")
    with Session(whole) as session:
        refused(session, "AUTOCOMMIT")
    with plain.connect() as connection:
        handle = enqueue(connection, add.message(1, 1))
        connection.rollback()
    assert not is_known(handle)
    plain.dispose()
    whole.dispose()


def test_a_driver_that_begins_no_transaction_is_refused() -> None:
    opened = create_engine(url(), connect_args={"isolation_level": None})
    with opened.connect() as connection:
        refused(connection, "AUTOCOMMIT")
    opened.dispose()


@on_both
def test_another_database_is_refused(elsewhere: Engine) -> None:
    with Session(elsewhere) as session:
        refused(session, r"elsewhere\.db is not that of the jobs, .*; use a session of that one")
        refused(session, r"elsewhere\.db is not that of the jobs")


def test_a_database_without_the_tables_is_refused(tmp_path: Path) -> None:
    opened = create_engine(f"sqlite:///{tmp_path / 'empty.db'}")
    with opened.connect() as connection:
        refused(connection, r"empty\.db has no tables of the jobs.*aquila db upgrade")
    opened.dispose()


def test_tables_of_another_version_are_refused(elsewhere: Engine) -> None:
    with elsewhere.begin() as connection:
        connection.execute(
            text("UPDATE aquila_alembic_version SET version_num = '0001' WHERE version_num = '0003'")
        )
    with elsewhere.connect() as connection:
        refused(connection, r"are at 0001, not at .*aquila db upgrade")


@pytest.mark.parametrize("place", ["postgresql"], indirect=True)
def test_a_schema_without_the_tables_is_refused_on_a_known_engine(engine: Engine) -> None:
    with engine.begin() as connection:
        enqueue(connection, add.message(1, 1))
        connection.execute(text("CREATE SCHEMA tenant"))
    with engine.connect() as connection:
        connection.execute(text("SET LOCAL search_path TO tenant"))
        refused(connection, "tables of the jobs are missing")
    with engine.begin() as connection:
        enqueue(connection, add.message(1, 1))


def test_databases_of_other_kinds_are_refused() -> None:
    driver = SimpleNamespace(paramstyle="pyformat", Error=Exception, version_info=(2, 0, 0))
    opened = create_engine("mysql+pymysql://nobody@localhost/none", module=driver)
    with Session(opened) as session:
        refused(session, "PostgreSQL or SQLite, and this session is one of mysql")


def test_a_session_that_has_no_database_for_the_jobs_is_refused(engine: Engine) -> None:
    with Session(binds={Order: engine}) as session:
        refused(session, r"is bound to no database for the jobs.*aquila_jobs")
    with Session(binds={Order: engine, jobs.metadata.tables["aquila_jobs"]: engine}) as session:
        handle = enqueue(session, add.message(1, 1))
        session.commit()
    delivered(handle)


def test_a_session_that_is_closed_is_refused(engine: Engine) -> None:
    session = Session(engine, close_resets_only=False)
    session.close()
    refused(session, "nothing can be enqueued in this Session: .*closed")
    connection = engine.connect()
    connection.close()
    refused(connection, "nothing can be enqueued in this Connection: .*closed")
    with Session(engine, autobegin=False) as unbegun:
        refused(unbegun, "nothing can be enqueued in this Session: Autobegin is disabled")


def test_what_is_no_session_is_refused(engine: Engine) -> None:
    refused(engine, "takes a Session or a Connection .* not Engine")
    refused(sessionmaker(engine), "takes a Session or a Connection .* not sessionmaker")


@pytest.mark.parametrize("wrong", ["word", {"a": 1}, add, None])
async def test_what_is_no_message_is_refused(engine: Engine, aengine: AsyncEngine, wrong: Any) -> None:
    with Session(engine) as session, pytest.raises(ConfigError, match=r"takes what Actor\.message"):
        enqueue(session, wrong)
    async with AsyncSession(aengine) as session, aengine.connect() as connection:
        with pytest.raises(ConfigError, match=r"takes what Actor\.message"):
            await aenqueue(session, wrong)
        with pytest.raises(ConfigError, match=r"takes what Actor\.message"):
            await aenqueue_all(connection, [add.message(1, 1), wrong])


async def test_the_wrong_kind_of_session_is_told_the_right_function(
    engine: Engine, aengine: AsyncEngine
) -> None:
    wrong: Any
    async with AsyncSession(aengine) as wrong:
        refused(wrong, r"no AsyncSession; write `await jobs\.aenqueue")
        refused(wrong.sync_session, r"asynchronous engine; write `await jobs\.aenqueue")
    for wrong in (Session(engine), scoped_session(sessionmaker(engine))):
        with pytest.raises(ConfigError, match=r"(Session|scoped_session); write `jobs\.enqueue"):
            await aenqueue(wrong, add.message(1, 1))
    for wrong in (aengine, AsyncConnection(aengine)):
        with pytest.raises(ConfigError, match=r"not AsyncEngine|nothing can be enqueued in this AsyncConn"):
            await aenqueue(wrong, add.message(1, 1))


def test_errors_of_the_database_reach_the_caller_as_from_any_statement() -> None:
    opened = create_engine(url(), connect_args={"timeout": 0.05})
    with host_engine().begin() as writing, opened.connect() as connection:
        writing.execute(text("CREATE TABLE busy (n INTEGER)"))
        with pytest.raises(OperationalError, match="locked"):
            enqueue(connection, add.message(1, 1))
    opened.dispose()
