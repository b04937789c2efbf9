"""What a database that fails is called, in one line, and what helps."""

from __future__ import annotations

import pytest
from job_postgres import Postgres
from job_rows import add, claim
from sqlalchemy import Connection, text

from aquila.errors import AquilaError, ConfigError
from jobs import claims, rows
from jobs.claims import Captured
from jobs.database import Database
from jobs.errors import NotStorable, StorageError
from jobs.migrate import upgrade
from jobs.settings import sync_url

pytest_plugins = ["job_fixtures"]


def said(url: str, kind: type[AquilaError] = StorageError) -> str:
    """The error of reading there."""
    database = Database(sync_url(url))
    try:
        with pytest.raises(kind) as raised:
            database.read(rows.find, "x")
    finally:
        database.close()
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.fixture
def guest(shared_postgres: Postgres) -> str:
    shared_postgres.execute("DROP ROLE IF EXISTS guest")
    shared_postgres.execute("CREATE ROLE guest LOGIN PASSWORD 'right'")
    return "guest"


def test_a_wrong_password_is_named_and_not_shown(shared_postgres: Postgres, guest: str) -> None:
    message = said(shared_postgres.url("migrated", f"{guest}:wrong"))

    assert message.endswith("mend the user and the password in AQUILA_DATABASE_URL")
    assert "wrong@" not in message


def test_a_missing_database_or_role_is_named(shared_postgres: Postgres) -> None:
    assert "make it with `createdb NAME`" in said(shared_postgres.url("nowhere"))
    assert 'role "eve" does not exist; mend the user' in said(shared_postgres.url("migrated", "eve"))


def test_missing_rights_are_named(shared_postgres: Postgres, guest: str) -> None:
    assert "grant this user its rights" in said(shared_postgres.url("migrated", f"{guest}:right"))


def test_missing_tables_are_named_on_a_server(shared_postgres: Postgres) -> None:
    assert said(shared_postgres.new_database(), ConfigError).endswith("run `aquila db upgrade`")


def test_a_server_that_only_reads_is_named(shared_postgres: Postgres) -> None:
    url = shared_postgres.new_database() + "&options=-c default_transaction_read_only=on"
    database = Database(sync_url(url))
    with pytest.raises(StorageError, match="name the primary server"):
        upgrade(database)
    database.close()


def test_a_password_that_is_a_parameter_is_not_shown() -> None:
    assert "geheim" not in said("postgresql://127.0.0.1:9/x?password=geheim&sslpassword=geheim")


def test_a_port_that_is_no_number_is_a_setting_to_mend() -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        Database(sync_url("postgresql://h:abc/x"))


@pytest.mark.parametrize("value", ["number", "depth"])
def test_what_cannot_be_stored_is_no_outage(database: Database, value: str) -> None:
    held = claim(database, add(database))
    result: object = 10**5000
    if value == "depth":
        result = []
        for _ in range(5000):
            result = [result]

    with pytest.raises(NotStorable, match="cannot be stored in"):
        database.write(claims.complete, held, output="x", result=result, captured=Captured())


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_transaction_that_met_another_is_run_once_more(database: Database) -> None:
    calls = 0

    def work(connection: Connection) -> int:
        nonlocal calls
        calls += 1
        if calls == 1:
            connection.execute(text("DO $$ BEGIN RAISE SQLSTATE '40P01'; END $$"))
        return calls

    assert database.write(work) == 2


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_transaction_that_meets_others_all_the_time_fails(database: Database) -> None:
    def work(connection: Connection) -> None:
        connection.execute(text("DO $$ BEGIN RAISE SQLSTATE '40001'; END $$"))

    with pytest.raises(StorageError):
        database.write(work)


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_the_server_ends_a_write_whose_process_has_stopped(database: Database) -> None:
    def limit(connection: Connection) -> str:
        return str(connection.execute(text("SHOW idle_in_transaction_session_timeout")).scalar_one())

    assert database.write(limit) == "30s"
    assert database.read(limit) == "0"
