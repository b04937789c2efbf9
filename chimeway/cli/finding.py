"""Rows for lists: deliveries, runs and signals by what is known of them, the newest first."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import Column, Connection, Table, select

from aquila.errors import ConfigError
from chimeway.models import Delivery, DeliveryStatus, Record, RunState, Signal, WorkflowRun
from chimeway.rows import as_record
from chimeway.settings import settings
from chimeway.store import read
from chimeway.tables import deliveries, runs, signals
from jobs.cli.durations import parse_duration
from jobs.sqltypes import storable

R = TypeVar("R", bound=Record)


def moment(since: str | None) -> datetime | None:
    """Give the time that was so long ago, by the clock that rows go by; None for None.

    Raises:
        ConfigError: It is no span of time.
    """
    if since is None:
        return None
    now = settings().clock.now()
    try:
        return now - timedelta(seconds=parse_duration("--since", since))
    except OverflowError:
        return now.replace(year=1)


def find_deliveries(*, since: datetime | None, limit: int, **wanted: str | None) -> list[Delivery]:
    """Read deliveries, those planned last first.

    Args:
        since: Only those planned then or later.
        limit: How many at most.
        wanted: Columns and their values; None is not looked at.

    Raises:
        ConfigError: There is no such status, or the tables are missing.
        StorageError: The database failed.
    """
    _check("status", wanted.get("status"), [str(one) for one in DeliveryStatus])
    return read(_latest, Delivery, deliveries, deliveries.c.created_at, wanted, since, limit)


def find_runs(*, since: datetime | None, limit: int, **wanted: str | None) -> list[WorkflowRun]:
    """Read runs, those that began last first.

    Args:
        since: Only those that began then or later.
        limit: How many at most.
        wanted: Columns and their values; None is not looked at.

    Raises:
        ConfigError: There is no such state, or the tables are missing.
        StorageError: The database failed.
    """
    _check("state", wanted.get("state"), [str(one) for one in RunState])
    return read(_latest, WorkflowRun, runs, runs.c.started_at, wanted, since, limit)


def find_signals(*, since: datetime | None, limit: int, **wanted: str | None) -> list[Signal]:
    """Read signals, the last first.

    Args:
        since: Only those of then or later.
        limit: How many at most.
        wanted: Columns and their values; None is not looked at.

    Raises:
        ConfigError: The tables are missing.
        StorageError: The database failed.
    """
    return read(_latest, Signal, signals, signals.c.occurred_at, wanted, since, limit)


def _check(name: str, value: str | None, known: list[str]) -> None:
    if value is not None and value not in known:
        raise ConfigError(f"no {name} {value!r}; it is one of {', '.join(known)}")


def _latest(
    connection: Connection,
    kind: type[R],
    table: Table,
    at: Column[Any],
    wanted: Mapping[str, str | None],
    since: datetime | None,
    limit: int,
) -> list[R]:
    query = select(table).order_by(at.desc(), table.c.id).limit(limit)
    for name, value in wanted.items():
        if value is not None:
            query = query.where(table.c[name] == storable(value))
    if since is not None:
        query = query.where(at >= since)
    return [as_record(kind, row) for row in connection.execute(query).mappings()]
