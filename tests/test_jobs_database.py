from __future__ import annotations

import resource
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from job_postgres import Postgres
from job_rows import add, claim, read
from sqlalchemy import Connection, func, inspect, select, text
from sqlalchemy.exc import OperationalError

from aquila.errors import ConfigError
from jobs import claims
from jobs.broker import runtime
from jobs.claims import Captured
from jobs.database import Database, storage_error
from jobs.errors import StorageError
from jobs.migrate import prepare, upgrade
from jobs.settings import sync_url
from jobs.sqltypes import SafeString, SafeText, UtcDateTime, db_now
from jobs.tables import jobs

pytest_plugins = ["job_fixtures"]


def prepared(database: Database, *, own: bool) -> str:
    """Prepare a database and leave no connection to it behind."""
    try:
        return prepare(database, own=own)
    finally:
        database.close()


def clock(connection: Connection, offset: float) -> datetime:
    return connection.execute(select(db_now(offset))).scalar_one()


def test_the_clock_is_the_databases_aware_and_moved_by_the_offset(database: Database) -> None:
    now, later, earlier = (database.read(clock, offset) for offset in (0.0, 90.5, -90.5))

    assert now.tzinfo is UTC
    assert abs((later - now).total_seconds() - 90.5) < 1
    assert abs((now - earlier).total_seconds() - 90.5) < 1


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        UtcDateTime().process_bind_param(datetime(2020, 1, 1), Database("sqlite:///x").engine.dialect)  # noqa: DTZ001


def test_text_that_no_database_holds_is_made_harmless() -> None:
    stored = SafeText().process_bind_param("a\x00b\ud800c\U0001f600", Database("sqlite:///x").engine.dialect)

    assert stored == "a\ufffdb\ufffdc\U0001f600"


def test_a_short_text_that_is_too_long_for_its_column_is_cut() -> None:
    stored = SafeString(4).process_bind_param("a\x00b\ud800c", Database("sqlite:///x").engine.dialect)

    assert stored == "a\ufffdb\ufffd"


def test_json_holds_every_text_as_it_was(database: Database) -> None:
    odd = {"nul \x00": "a\x00b", "half": "\ud800", "whole": "\U0001f600", "big": 10**40}
    held = claim(database, add(database))

    database.write(claims.add_metadata, held, odd)
    database.write(claims.complete, held, output="a\x00b\ud800", result=odd, captured=Captured())

    job = read(database, held.job)
    assert {**job.metadata} == {"who": "anna", **odd}
    assert (job.result, job.output) == (odd, "a\ufffdb\ufffd")


def test_no_value_in_json_is_none_in_the_row(database: Database) -> None:
    held = claim(database, add(database))
    database.write(claims.complete, held, output=None, result=None, captured=Captured())

    missing = select(func.count()).where(jobs.c.result.is_(None), jobs.c.usage.is_(None))
    assert database.read(lambda connection: connection.execute(missing).scalar_one()) == 1


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_writes_of_many_threads_wait_for_one_another(database: Database) -> None:
    database.write(lambda connection: connection.execute(text("CREATE TABLE t (n INTEGER)")))
    database.write(lambda connection: connection.execute(text("INSERT INTO t VALUES (0)")))

    def increment(_: int) -> None:
        def work(connection: Connection) -> None:
            value = connection.execute(text("SELECT n FROM t")).scalar_one()
            connection.execute(text("UPDATE t SET n = :n"), {"n": value + 1})

        database.write(work)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(increment, range(40)))

    assert database.read(lambda connection: connection.execute(text("SELECT n FROM t")).scalar_one()) == 40


def test_a_write_that_raises_leaves_nothing(database: Database) -> None:
    def work(connection: Connection) -> None:
        connection.execute(text("CREATE TABLE t (n INTEGER)"))
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        database.write(work)

    assert not database.read(lambda connection: inspect(connection).has_table("t"))


def test_a_folder_that_is_not_there_is_named_with_its_remedy(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/none/x.db")

    with pytest.raises(StorageError, match=r"unable to open database file; make its folder"):
        prepare(database, own=True)


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.write_bytes(b"this is prose, not a database, and it is long enough to be looked at" * 20)

    with pytest.raises(StorageError, match="not a database"):
        prepared(Database(f"sqlite:///{path}"), own=True)


def test_a_database_that_does_not_answer_is_named_without_its_password() -> None:
    database = Database("postgresql+psycopg://anna:secret@127.0.0.1:9/x")

    with pytest.raises(StorageError) as refused:
        database.read(clock, 0.0)

    assert "127.0.0.1:9" in str(refused.value)
    assert "secret" not in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("url", ["mysql://h/x", "nonsense://x", "sqlite:/x:y:z@@"])
def test_a_database_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(ConfigError):
        Database(url)


def test_missing_tables_name_the_command_that_makes_them(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="aquila db upgrade"):
        prepared(Database(f"sqlite:///{tmp_path / 'x.db'}"), own=False)


def test_a_full_disk_is_one_line_that_says_so(tmp_path: Path) -> None:
    script = """
import sys
sys.path.insert(0, sys.argv[1])
from job_actors import add
try:
    add.send(1, 2)
except Exception as error:
    print(type(error).__name__, error)
"""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    done = subprocess.run(
        [sys.executable, "-c", script, str(Path(__file__).parent)],
        capture_output=True,
        text=True,
        preexec_fn=limit,
        check=True,
        timeout=30,
    )

    assert done.stdout.startswith("StorageError database sqlite:///")
    assert "the disk is full" in done.stdout
    assert done.stdout.count("\n") == 1
    assert not done.stderr


def test_a_disk_that_takes_no_more_is_named_with_what_to_do() -> None:
    cause = OperationalError("INSERT", {}, sqlite3.OperationalError("disk I/O error"))

    said = str(storage_error(cause, "sqlite:///x.db"))

    assert "the disk is full" in said
    assert said.endswith("free space, raise the limit, or set AQUILA_STATE_DIR to another disk")


def test_two_processes_that_start_together_migrate_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}"

    with ThreadPoolExecutor(6) as pool:
        names = set(pool.map(lambda _: prepared(Database(url), own=True), range(6)))

    assert len(names) == 1


def test_two_processes_that_upgrade_a_server_at_once_both_succeed(shared_postgres: Postgres) -> None:
    url = sync_url(shared_postgres.new_database())

    def upgraded(_: int) -> bool:
        opened = Database(url)
        try:
            return upgrade(opened)
        finally:
            opened.close()

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(upgraded, range(4))) == [False, False, False, True]


def test_a_server_that_came_back_is_used_at_once(own_postgres: Postgres) -> None:
    opened = runtime().database()
    opened.read(clock, 0.0)

    own_postgres.kill()
    with pytest.raises(StorageError, match="connection"):
        opened.read(clock, 0.0)
    own_postgres.start()

    assert opened.read(clock, 0.0).tzinfo is UTC


def test_a_newer_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    prepared(Database(f"sqlite:///{path}"), own=True)
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(
            "UPDATE aquila_alembic_version SET version_num = '9999' WHERE version_num = '0003'"
        )
    connection.close()

    with pytest.raises(ConfigError, match="newer Aquila"):
        prepared(Database(f"sqlite:///{path}"), own=True)
