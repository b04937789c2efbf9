"""When something is to happen next, by the rows: where a test's clock stops on its way."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from sqlalchemy import Connection, select

from chimeway.models import DeliveryStatus, Orchestration, RunState
from chimeway.redriving import OWN_TIME
from chimeway.tables import deliveries, digest_buckets, runs

#: A lease or a youth is over when its last moment has passed.
_JUST = timedelta(microseconds=1)


def next_moment(connection: Connection, after: datetime, until: datetime) -> datetime | None:
    """Give the first moment at which a delivery, a run or a digest is due; None if there is none before the end.

    Args:
        connection: A transaction.
        after: Moments up to this one are past.
        until: The end; a moment at it counts.
    """
    every = (*_of_deliveries(connection), *_of_runs(connection), *_of_digests(connection))
    return min((moment for moment in every if after < moment <= until), default=None)


def _of_deliveries(connection: Connection) -> Iterator[datetime]:
    table = deliveries
    over = [status.value for status in DeliveryStatus if status.terminal]
    for row in connection.execute(select(table).where(table.c.status.not_in(over))):
        if row.next_attempt_at is not None:
            yield row.next_attempt_at
        if row.lease_until is not None:
            yield row.lease_until + _JUST
        if row.eligible_at is not None and row.orchestration_state == Orchestration.DEFERRED:
            yield row.eligible_at
        if row.carrier_id is None:
            # The process that was to deliver it itself has had its time.
            yield row.updated_at + timedelta(seconds=OWN_TIME) + _JUST


def _of_runs(connection: Connection) -> Iterator[datetime]:
    waiting = (runs.c.state == RunState.WAITING.value, runs.c.due_at.is_not(None))
    yield from connection.scalars(select(runs.c.due_at).where(*waiting))


def _of_digests(connection: Connection) -> Iterator[datetime]:
    yield from connection.scalars(
        select(digest_buckets.c.due_at).where(digest_buckets.c.flushed_at.is_(None))
    )
