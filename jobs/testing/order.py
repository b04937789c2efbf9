"""The order in which jobs were added."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, literal_column

from jobs.tables import jobs


def as_added(connection: Connection) -> tuple[ColumnElement[Any], ...]:
    """Give what to order jobs by."""
    # SQLite's clock is too coarse to tell jobs apart that are sent one after the other, but it numbers its rows.
    if connection.dialect.name == "sqlite":
        return (literal_column("rowid"),)
    return (jobs.c.created_at, jobs.c.id)
