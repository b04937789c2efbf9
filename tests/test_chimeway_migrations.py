from __future__ import annotations

from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect

from chimeway.migrations import TRACK
from chimeway.tables import metadata
from jobs.database import Database
from jobs.migrate import alembic_config, check_track, track_version, tracks

pytest_plugins = ["job_fixtures"]


def ours(name: str | None, kind: str, _parents: Any) -> bool:
    return kind != "table" or bool(name and name.startswith("chimeway_"))


def differences(connection: Connection) -> list[Any]:
    options = {"include_name": ours, "compare_type": True}
    found = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
    return list(found)


def test_the_migrations_make_the_tables_as_they_are_declared(database: Database) -> None:
    check_track(database, TRACK, own=True)

    assert database.read(track_version, TRACK) == TRACK.head
    assert database.read(differences) == []


def test_the_migrations_can_be_taken_back(database: Database) -> None:
    check_track(database, TRACK, own=True)

    def down(connection: Connection) -> None:
        command.downgrade(alembic_config(connection, tracks()), "chimeway_0001@base")

    database.write(down)
    names = database.read(lambda connection: inspect(connection).get_table_names())
    assert not [name for name in names if name.startswith("chimeway_")]
    assert "aquila_jobs" in names
