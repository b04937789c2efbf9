"""A database for one test: a SQLite file with the tables, gone with the test."""

from __future__ import annotations

import sqlite3
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import event

from jobs.database import Database
from jobs.migrate import prepare


def open_temporary(path: Path) -> Database:
    """Open a file, which is made with the tables if it is not there."""
    if not path.exists():
        path.write_bytes(migrated())
    database = Database(f"sqlite:///{path}")
    event.listen(database.engine, "connect", _hurry)
    return database


@cache
def migrated() -> bytes:
    """Give the bytes of a file with the tables."""
    # Migrating takes a third of a second, copying nothing: once for each process of a test run.
    with TemporaryDirectory(prefix="aquila-jobs-") as folder:
        path = Path(folder) / "jobs.db"
        database = Database(f"sqlite:///{path}")
        prepare(database, own=True)
        database.close()
        return path.read_bytes()


def _hurry(connection: sqlite3.Connection, _record: Any) -> None:
    # Nothing here need outlive the machine.
    connection.execute("PRAGMA synchronous=OFF").close()
