"""Brings a database's tables to this version, and says when they are not."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Column, Connection, MetaData, String, Table, func, inspect, select, text

from aquila.errors import ConfigError
from jobs.database import Database
from jobs.in_schema import bare
from jobs.tables import VERSION_TABLE, databases

if TYPE_CHECKING:
    from alembic.config import Config

#: The newest migration. Written here so that a start on a migrated database need not import alembic (0.3 s).
HEAD = "0003"
#: PostgreSQL's advisory lock of the process that migrates: "aquila" as a number.
UPGRADE_LOCK = 0x617175696C61
#: Where packages with tables of their own beside those of the jobs say so.
TRACKS = "aquila.migrations"
#: One row for each track. Not among the tables that a host is told of.
_versions = Table(VERSION_TABLE, MetaData(), Column("version_num", String(32)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """The migrations of one package: a line of its own, whose version is a row of its own in the one version table.

    Its revisions are called `PREFIX0001`, `PREFIX0002` and so on, with a prefix that no other track has; the first one
    has no `down_revision`. An entry point in the group `aquila.migrations` names it.
    """

    #: Whose tables they are, as messages say it: "the tables of the NAME".
    name: str
    #: The newest migration.
    head: str
    #: Where the migrations are, one file each.
    folder: Path

    @property
    def prefix(self) -> str:
        """What the names of its revisions begin with."""
        return self.head.rstrip("0123456789")

    def owns(self, revision: str) -> bool:
        """Say whether a revision is one of its own."""
        return revision.startswith(self.prefix) and revision[len(self.prefix) :].isdecimal()


JOBS = Track(name="jobs", head=HEAD, folder=Path(__file__).parent / "migrations" / "versions")


def tracks(*more: Track) -> tuple[Track, ...]:
    """Give the tracks of all packages that are installed, the jobs' own first.

    Args:
        more: Tracks that need not be installed as entry points.

    Raises:
        ConfigError: What a package names is no track, or cannot be imported.
    """
    known = {track.prefix: track for track in (JOBS, *more)}
    for entry_point in entry_points(group=TRACKS):
        try:
            track = entry_point.load()
        except (ImportError, AttributeError) as error:
            raise ConfigError(f"the migrations of {entry_point.value} cannot be imported: {error}") from error
        if not isinstance(track, Track):
            raise ConfigError(f"the entry point {entry_point.value} of {TRACKS} is no jobs.migrate.Track")
        known.setdefault(track.prefix, track)
    return tuple(known.values())


def prepare(database: Database, *, own: bool) -> str:
    """Check the tables, make them if the database is our own, and give the database's id.

    Args:
        database: Where the jobs live.
        own: Whether it is the file in the state folder, which nobody else migrates.

    Raises:
        ConfigError: The tables are missing, too old or too new.
        StorageError: The database failed.
    """
    check_track(database, JOBS, own=own)
    return database.read(_database_id)


def check_track(database: Database, track: Track, *, own: bool) -> None:
    """Check the tables of one track, and make them if the database is our own.

    Args:
        database: Where the jobs live.
        track: The track.
        own: Whether it is the file in the state folder, which nobody else migrates.

    Raises:
        ConfigError: The tables are missing, too old or too new.
        StorageError: The database failed.
    """
    version = database.read(track_version, track)
    if version == track.head:
        return
    if not own:
        raise ConfigError(version_problem(version, database.name, track))
    upgrade(database, track)


def upgrade(database: Database, *more: Track) -> bool:
    """Bring the tables of all tracks to this version; say whether there was anything to do.

    Args:
        database: Where the jobs live.
        more: Tracks beside those that are installed.

    Raises:
        ConfigError: They belong to a newer Aquila, or to a package that is not installed here.
        StorageError: The database failed.
    """
    return database.write(_upgrade, database.name, database.schema, tracks(*more))


def current_version(connection: Connection) -> str | None:
    """Give the migration the tables of the jobs are at; None if there are none."""
    return track_version(connection, JOBS)


def track_version(connection: Connection, track: Track) -> str | None:
    """Give the migration the tables of a track are at; None if there are none."""
    return _version_among(_all_versions(connection), track)


def version_problem(version: str | None, name: str, track: Track = JOBS) -> str:
    """Say what is wrong with the tables of a track, and what helps."""
    if version is None:
        return f"the tables of the {track.name} are missing in {name}; run `aquila db upgrade`"
    if version > track.head:
        return (
            f"the tables of the {track.name} in {name} belong to a newer Aquila ({version}, this one knows {track.head}); "
            "upgrade aquila-llm"
        )
    return f"the tables of the {track.name} in {name} are at {version}, not at {track.head}; run `aquila db upgrade`"


def alembic_config(connection: Connection, wanted: Sequence[Track]) -> Config:
    """Tell Alembic where the migrations are and on which connection to run them."""
    from alembic.config import Config  # noqa: PLC0415 - 0.3 s that a migrated database does not pay

    config = Config(attributes={"connection": connection})
    folders = "\n".join(str(track.folder) for track in wanted)
    for option, value in (
        ("script_location", str(Path(__file__).parent / "migrations")),
        ("path_separator", "newline"),
        ("version_locations", folders),
    ):
        config.set_main_option(option, value.replace("%", "%%"))
    return config


def _upgrade(connection: Connection, name: str, schema: str | None, wanted: Sequence[Track]) -> bool:
    if connection.dialect.name == "postgresql":
        # Here two could make the same table at once, and one would fail; on SQLite the second waits anyway.
        connection.execute(select(func.pg_advisory_xact_lock(UPGRADE_LOCK)))
    # Asked again inside the write: of two processes that start together, one migrates and the other sees it done.
    versions = _all_versions(connection)
    if not _is_anything_to_do(versions, name, wanted):
        return False
    if schema is not None:
        _make_schema(connection, schema)
    from alembic import command  # noqa: PLC0415 - 0.3 s that a migrated database does not pay

    logging.getLogger("alembic").setLevel(logging.WARNING)
    command.upgrade(alembic_config(connection, wanted), "heads")
    return True


def _is_anything_to_do(versions: Sequence[str], name: str, wanted: Sequence[Track]) -> bool:
    found = {track: _version_among(versions, track) for track in wanted}
    for track, version in found.items():
        if version is not None and version > track.head:
            raise ConfigError(version_problem(version, name, track))
    if all(version == track.head for track, version in found.items()):
        return False
    strange = [version for version in versions if not any(track.owns(version) for track in wanted)]
    if strange:
        # Alembic goes on only if it knows every line.
        raise ConfigError(
            f"{name} also has tables of a package that is not installed here, at {', '.join(strange)}; "
            "install it and run `aquila db upgrade`"
        )
    return True


def _make_schema(connection: Connection, schema: str) -> None:
    # Asked first: IF NOT EXISTS wants the right to make one even if it is there.
    there = connection.execute(text("SELECT 1 FROM pg_namespace WHERE nspname = :name"), {"name": schema})
    if there.first() is None:
        connection.exec_driver_sql(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')


def _all_versions(connection: Connection) -> list[str]:
    plain, schema = bare(connection)
    if not inspect(plain).has_table(VERSION_TABLE, schema=schema):
        return []
    return [str(version) for version in connection.scalars(select(_versions.c.version_num))]


def _version_among(versions: Sequence[str], track: Track) -> str | None:
    return max((version for version in versions if track.owns(version)), default=None)


def _database_id(connection: Connection) -> str:
    return str(connection.execute(select(databases.c.id)).scalar_one())
