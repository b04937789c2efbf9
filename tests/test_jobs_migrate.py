from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from job_postgres import Postgres
from sqlalchemy import inspect, text

import jobs
from aquila.errors import ConfigError
from jobs.database import Database
from jobs.migrate import (
    HEAD,
    JOBS,
    Track,
    alembic_config,
    check_track,
    current_version,
    prepare,
    track_version,
    tracks,
    upgrade,
)
from jobs.settings import sync_url
from jobs.tables import VERSION_TABLE

pytest_plugins = ["job_fixtures"]

REVISION = """
import sqlalchemy as sa
from alembic import op

revision = "toys_{number}"
down_revision = {down}
branch_labels = None
depends_on = None


def upgrade():
    op.create_table("toys_{number}", sa.Column("id", sa.Integer, primary_key=True))


def downgrade():
    op.drop_table("toys_{number}")
"""
DISTRIBUTION = """
[aquila.migrations]
toys = {value}
"""


@pytest.fixture
def toys(tmp_path: Path) -> Track:
    """Tables of another package."""
    folder = tmp_path / "100% of, the: toys"
    folder.mkdir()
    (folder / "v1.py").write_text(REVISION.format(number="0001", down=None))
    (folder / "v2.py").write_text(REVISION.format(number="0002", down='"toys_0001"'))
    return Track(name="toys", head="toys_0002", folder=folder)


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Database]:
    opened = Database(f"sqlite:///{tmp_path / 'empty.db'}")
    yield opened
    opened.close()


def say(database: Database, statement: str) -> None:
    database.write(lambda connection: connection.execute(text(statement)))


def tables(database: Database) -> set[str]:
    return set(database.read(lambda connection: inspect(connection).get_table_names()))


def install(folder: Path, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a package be there that names its migrations."""
    information = folder / "toys-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: toys\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(DISTRIBUTION.format(value=value))
    monkeypatch.syspath_prepend(folder)


def test_a_track_knows_its_own_revisions(toys: Track) -> None:
    assert (JOBS.prefix, toys.prefix) == ("", "toys_")
    assert (JOBS.owns("0001"), JOBS.owns("toys_0001"), JOBS.owns("")) == (True, False, False)
    assert (toys.owns("toys_0009"), toys.owns("0001"), toys.owns("toys_x")) == (True, False, False)


def test_each_track_has_a_version_of_its_own_in_one_table(database: Database, toys: Track) -> None:
    assert upgrade(database, toys)
    assert not upgrade(database, toys)

    assert database.read(current_version) == HEAD
    assert database.read(track_version, toys) == "toys_0002"
    assert {"toys_0001", "toys_0002", "aquila_jobs", VERSION_TABLE} <= tables(database)


def test_a_track_that_is_behind_is_brought_on_and_the_others_are_left_alone(
    database: Database, toys: Track
) -> None:
    first = Track(name="toys", head="toys_0001", folder=toys.folder)
    (later := toys.folder / "v2.py").rename(kept := toys.folder / "v2.txt")
    assert upgrade(database, first)
    kept.rename(later)
    with pytest.raises(
        ConfigError, match=r"of the toys in .* are at toys_0001, not at toys_0002; run `aquila"
    ):
        check_track(database, toys, own=False)

    check_track(database, toys, own=True)

    assert database.read(track_version, toys) == "toys_0002"
    assert database.read(current_version) == HEAD


def test_the_jobs_do_without_the_tables_of_others(database: Database, toys: Track) -> None:
    assert prepare(database, own=False)
    with pytest.raises(ConfigError, match=r"tables of the toys are missing in .*; run `aquila db upgrade`"):
        check_track(database, toys, own=False)

    check_track(database, toys, own=True)

    check_track(database, toys, own=False)


def test_tables_of_a_newer_version_are_left_alone(database: Database, toys: Track) -> None:
    upgrade(database, toys)
    say(
        database,
        "UPDATE aquila_alembic_version SET version_num = 'toys_0003' WHERE version_num = 'toys_0002'",
    )

    with pytest.raises(
        ConfigError, match=r"of the toys in .* newer Aquila \(toys_0003, this one knows toys_0002"
    ):
        check_track(database, toys, own=True)
    with pytest.raises(ConfigError, match="newer Aquila"):
        upgrade(database, toys)
    assert prepare(database, own=False)


def test_processes_that_start_together_migrate_once(empty: Database, toys: Track) -> None:
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: upgrade(empty, toys), range(4)))

    assert sorted(done) == [False, False, False, True]


def test_processes_that_start_together_migrate_a_server_once(shared_postgres: Postgres, toys: Track) -> None:
    opened = Database(sync_url(shared_postgres.new_database()))

    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: upgrade(opened, toys), range(4)))

    assert sorted(done) == [False, False, False, True]
    opened.close()


def test_one_track_can_go_back_without_the_others(empty: Database, toys: Track) -> None:
    from alembic import command  # noqa: PLC0415 - slow to import, and only wanted here

    upgrade(empty, toys)
    known = tracks(toys)
    empty.write(lambda connection: command.downgrade(alembic_config(connection, known), "toys_0001"))

    assert empty.read(track_version, toys) == "toys_0001"
    assert empty.read(current_version) == HEAD


def test_a_package_that_is_installed_is_found(
    empty: Database, toys: Track, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site"
    install(package, "toy_box:TRACK", monkeypatch)
    (package / "toy_box.py").write_text(
        "from pathlib import Path\nfrom jobs.migrate import Track\n"
        f"TRACK = Track(name='toys', head='toys_0002', folder=Path({str(toys.folder)!r}))\n"
    )

    assert toys in tracks()
    assert upgrade(empty)
    assert empty.read(track_version, toys) == "toys_0002"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (
            "toy_shop:TRACK",
            r"the migrations of toy_shop:TRACK cannot be imported: No module named 'toy_shop'",
        ),
        ("json:TRACK", "the migrations of json:TRACK cannot be imported: .*no attribute 'TRACK'"),
        ("json:dumps", r"the entry point json:dumps of aquila\.migrations is no jobs\.migrate\.Track"),
    ],
)
def test_a_package_that_names_no_track_is_named(
    tmp_path: Path, value: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path / "site", value, monkeypatch)

    with pytest.raises(ConfigError, match=words):
        tracks()


def test_tables_of_a_package_that_is_gone_are_named_when_there_is_something_to_do(
    empty: Database, toys: Track
) -> None:
    upgrade(empty, toys)
    assert not upgrade(empty)
    assert HEAD == "0003"
    say(empty, "UPDATE aquila_alembic_version SET version_num = '0002' WHERE version_num = '0003'")

    with pytest.raises(ConfigError, match=r"not installed here, at toys_0002; install it and run `aquila db"):
        upgrade(empty)


def test_a_host_is_told_which_tables_are_not_its_own() -> None:
    ours = ["aquila_jobs", VERSION_TABLE, "chimeway_events"]

    assert all(jobs.is_aquila_table(name, "table", {}) for name in ours)
    assert not jobs.is_aquila_table("toys_0001", "table", {})
    assert VERSION_TABLE not in jobs.metadata.tables
