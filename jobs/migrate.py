"""Brings a database's tables to this version, and says when they are not."""

from __future__ import annotations

import logging
from pathlib import Path

from sqlalchemy import Connection, func, inspect, select, text

from aquila.errors import ConfigError
from jobs.database import Database
from jobs.tables import VERSION_TABLE, databases

#: The newest migration. Written here so that a start on a migrated database need not import alembic (0.3 s).
HEAD = "0003"
#: PostgreSQL's advisory lock of the process that migrates: "aquila" as a number.
UPGRADE_LOCK = 0x617175696C61


def prepare(database: Database, *, own: bool) -> str:
    """Check the tables, make them if the database is our own, and give the database's id.

    Args:
        database: Where the jobs live.
        own: Whether it is the file in the state folder, which nobody else migrates.

    Raises:
        ConfigError: The tables are missing, too old or too new.
        StorageError: The database failed.
    """
    version = database.read(current_version)
    if version != HEAD:
        if not own:
            raise ConfigError(version_problem(version, database.name))
        upgrade(database)
    return database.read(_database_id)


def upgrade(database: Database) -> bool:
    """Bring the tables to this version; say whether there was anything to do.

    Raises:
        ConfigError: They belong to a newer Aquila.
        StorageError: The database failed.
    """
    return database.write(_upgrade, database.name)


def current_version(connection: Connection) -> str | None:
    """Give the migration the tables are at; None if there are none."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    found = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608 - a constant
    return None if found is None else str(found)


def version_problem(version: str | None, name: str) -> str:
    """Say what is wrong with the tables, and what helps."""
    if version is None:
        return f"the tables of the jobs are missing in {name}; run `aquila db upgrade`"
    if version > HEAD:
        return f"the tables in {name} belong to a newer Aquila ({version}, this one knows {HEAD}); upgrade aquila-llm"
    return f"the tables in {name} are at {version}, not at {HEAD}; run `aquila db upgrade`"


def _upgrade(connection: Connection, name: str) -> bool:
    if connection.dialect.name == "postgresql":
        # Here two could make the same table at once, and one would fail; on SQLite the second waits anyway.
        connection.execute(select(func.pg_advisory_xact_lock(UPGRADE_LOCK)))
    # Asked again inside the write: of two processes that start together, one migrates and the other sees it done.
    version = current_version(connection)
    if version == HEAD:
        return False
    if version is not None and version > HEAD:
        raise ConfigError(version_problem(version, name))
    from alembic import command  # noqa: PLC0415 - 0.3 s that a migrated database does not pay
    from alembic.config import Config  # noqa: PLC0415

    logging.getLogger("alembic").setLevel(logging.WARNING)
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    command.upgrade(config, "head")
    return True


def _database_id(connection: Connection) -> str:
    return str(connection.execute(select(databases.c.id)).scalar_one())
