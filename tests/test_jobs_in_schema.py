"""The tables of the jobs in a schema of the host's choice, on a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from job_actors import add
from job_hosts import async_engine, delivered, eventually, is_known, on_the_wire, plain_engine
from job_postgres import Postgres
from job_workers import LEASE, Valkey, working
from sqlalchemy import Column, Connection, Engine, Integer, MetaData, Table, create_engine, func, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session
from typer.testing import CliRunner

import jobs
from aquila.errors import ConfigError
from jobs.broker import runtime
from jobs.checks import checks
from jobs.cli.db import app
from jobs.database import Database
from jobs.enqueueing import aenqueue, enqueue
from jobs.host_connection import connection_of
from jobs.migrate import HEAD, current_version, upgrade
from jobs.settings import sync_url
from jobs.tables import jobs as jobs_table
from jobs.testing import drain_queue, sandbox

pytest_plugins = ["job_fixtures"]

SCHEMA = "Notifications"
orders = Table("orders", MetaData(), Column("id", Integer, primary_key=True))


@pytest.fixture
def url(shared_postgres: Postgres, shared_valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A database in which there is nothing yet."""
    found = shared_postgres.new_database()
    monkeypatch.setenv("AQUILA_DATABASE_URL", found)
    monkeypatch.setenv("AQUILA_REDIS_URL", shared_valkey.url)
    monkeypatch.setenv("AQUILA_CASSETTES", "off")
    jobs.close()
    yield found
    jobs.close()


@pytest.fixture
def schema(url: str) -> str:
    settle(SCHEMA)
    return SCHEMA


@pytest.fixture
def engine(schema: str) -> Iterator[Engine]:
    """The host's own, whose tables are in a schema of its own."""
    opened = plain_engine()
    with opened.begin() as connection:
        connection.execute(text("CREATE SCHEMA shop"))
        orders.create(connection.execution_options(schema_translate_map={None: "shop"}))
    opened.dispose()
    opened = create_engine(
        sync_url(opened.url.render_as_string(False)).replace("?", "?options=-csearch_path=shop&")
    )
    yield opened
    opened.dispose()


@pytest.fixture
async def aengine(schema: str) -> AsyncIterator[AsyncEngine]:
    opened = async_engine()
    yield opened
    await opened.dispose()


def settle(schema: str | None) -> None:
    jobs.close()
    jobs.configure(schema=schema, lease=LEASE, grace=0.1)
    jobs.upgrade()


def tables(connection: Connection) -> set[tuple[str, str]]:
    """The schema and the name of each table that is none of the server's own."""
    query = "SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
    return {(str(schema), str(name)) for schema, name in connection.execute(text(query))}


def schemas() -> set[str]:
    return {schema for schema, _ in runtime().database().read(tables)}


def search_path(connection: Connection) -> str:
    return str(connection.scalar(text("SHOW search_path")))


def count(connection: Connection) -> int:
    return int(connection.scalar(select(func.count()).select_from(orders)) or 0)


def test_all_tables_are_made_in_the_schema(schema: str) -> None:
    wanted = {(schema, name) for name in ("aquila_jobs", "aquila_alembic_version", "aquila_database")}

    assert wanted <= runtime().database().read(tables)
    assert schemas() == {schema}
    assert not jobs.upgrade()


def test_the_command_and_the_doctor_take_the_schema_from_the_environment(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AQUILA_DATABASE_SCHEMA", "jobs_of_ours")
    assert any("are missing" in check.detail for check in checks())

    assert "at this version now" in CliRunner().invoke(app, ["upgrade"]).stdout

    assert schemas() == {"jobs_of_ours"}
    assert any(f"at version {HEAD}" in check.detail for check in checks())


async def test_jobs_run_from_end_to_end(schema: str) -> None:
    async with working():
        handle = await add.asend(1, 2)
        assert await handle.aresult(timeout=20) == 3
    assert [job.job_id for job in await jobs.afind(state="completed")] == [handle.job_id]


def test_a_host_s_transaction_keeps_its_search_path_and_its_tables(engine: Engine) -> None:
    with Session(engine) as session:
        session.execute(orders.insert().values(id=1))
        kept = enqueue(session, add.message(1, 2))
        session.execute(orders.insert().values(id=2))
        assert search_path(session.connection()) == "shop"
        assert count(session.connection()) == 2
        assert not is_known(kept)
        session.commit()
        assert search_path(session.connection()) == "shop"
    with engine.connect() as connection:
        lost = enqueue(connection, add.message(1, 2))
        connection.rollback()

    delivered(kept)
    assert not is_known(lost)


def test_a_savepoint_and_a_unique_key_work_as_elsewhere(engine: Engine) -> None:
    once = add.options(unique="order-1")
    with Session(engine) as session:
        first = enqueue(session, once.message(1, 2))
        with session.begin_nested() as savepoint:
            lost = enqueue(session, add.message(1, 2))
            savepoint.rollback()
        again = enqueue(session, once.message(1, 2))
        session.commit()

    delivered(first)
    assert (again.job_id, again.created) == (first.job_id, False)
    assert not is_known(lost)


async def test_asynchronous_sessions_add_to_the_schema_as_well(aengine: AsyncEngine) -> None:
    async with AsyncSession(aengine) as session:
        handle = await aenqueue(session, add.message(1, 2))
        assert (await session.execute(text("SHOW search_path"))).scalar_one() == '"$user", public'
        await session.commit()

    assert (await handle.ajob()).state == "available"


def test_what_the_host_says_of_schemas_is_its_own(engine: Engine) -> None:
    mapped = engine.execution_options(schema_translate_map={None: "shop"})
    with mapped.begin() as connection:
        connection.execute(orders.insert().values(id=1))
        kept = enqueue(connection, add.message(1, 2))
        connection.execute(orders.insert().values(id=2))
        assert count(connection) == 2

    delivered(kept)


def test_a_connection_in_the_schema_can_be_given_on(engine: Engine, schema: str) -> None:
    with engine.begin() as plain:
        connection = connection_of(plain, schema=schema)
        handle = enqueue(connection, add.message(1, 2))
        assert connection.scalars(select(jobs_table.c.id)).all() == [handle.job_id]
        assert connection.get_transaction() is plain.get_transaction()
        assert connection.dialect.name == "postgresql"
        with connection.begin_nested():
            connection.execute(jobs_table.delete())
        assert connection.scalar(select(func.count()).select_from(jobs_table)) == 0


def test_two_schemas_of_a_database_are_two_places(engine: Engine) -> None:
    with engine.begin() as connection:
        first = enqueue(connection, add.message(1, 2))
    delivered(first)
    first_id = runtime().database_id

    settle("other")
    assert runtime().database_id != first_id
    assert not is_known(first)
    with engine.begin() as connection:
        second = enqueue(connection, add.message(1, 2))
    delivered(second)

    settle(None)
    assert not is_known(second)
    assert schemas() == {SCHEMA, "shop", "other", "public"}


def test_a_database_without_the_schema_is_refused(shared_postgres: Postgres, schema: str) -> None:
    elsewhere = create_engine(sync_url(shared_postgres.new_database()))
    with elsewhere.connect() as connection:
        with pytest.raises(ConfigError, match=r"has no tables of the jobs.*aquila db upgrade"):
            enqueue(connection, add.message(1, 2))
        assert connection.scalar(text("SELECT 1")) == 1
    elsewhere.dispose()


def test_the_schema_that_an_administrator_has_made_needs_no_right_to_make_one(
    shared_postgres: Postgres,
) -> None:
    name = shared_postgres.new_database().partition("@/")[2].partition("?")[0]
    shared_postgres.execute("CREATE ROLE tenant LOGIN")
    shared_postgres.execute("CREATE SCHEMA mine AUTHORIZATION tenant", name)
    opened = Database(sync_url(shared_postgres.url(name, "tenant")), schema="mine")

    assert upgrade(opened)

    assert opened.read(current_version) == HEAD
    opened.close()


def test_nothing_of_the_schema_stays_on_a_connection(schema: str) -> None:
    database = runtime().database()
    assert database.read(search_path) == database.write(search_path) == f'"{schema}"'

    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        assert driver.execute("SHOW search_path").fetchone() == ('"$user", public',)


def test_a_sandbox_on_a_server_has_its_rows_in_the_schema(engine: Engine, url: str, schema: str) -> None:
    with sandbox(database_url=url):
        stored = add.send(1, 2)
        assert drain_queue().completed == 1
    assert stored.result() == 3

    with engine.connect() as connection, connection.begin() as transaction:
        with sandbox(connection=connection):
            handle = enqueue(connection, add.message(1, 2))
            assert drain_queue().completed == 1
            assert handle.result() == 3
            assert search_path(connection) == "shop"
        transaction.rollback()
    assert not is_known(handle)


def test_a_sandbox_in_a_file_has_no_schema(schema: str) -> None:
    with sandbox():
        handle = add.send(1, 2)
        assert drain_queue().completed == 1
        assert handle.result() == 3
    eventually(lambda: on_the_wire() == [])
