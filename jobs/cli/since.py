"""`--since`: a span before now, by the database's clock."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, select

from jobs.broker import runtime
from jobs.cli.durations import parse_duration
from jobs.sqltypes import db_now


def moment(since: str | None) -> datetime | None:
    """Give the time that was so long ago; None for None.

    Raises:
        ConfigError: It is no span of time.
    """
    if since is None:
        return None
    seconds = parse_duration("--since", since)
    now = runtime().database().read(database_time)
    try:
        return now - timedelta(seconds=seconds)
    except OverflowError:
        return now.replace(year=1)


def database_time(connection: Connection) -> datetime:
    """Read the database's clock."""
    now: datetime = connection.execute(select(db_now())).scalar_one()
    return now
