"""The sweep of a process that delivers itself: it does what it finds, so that no worker is needed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, or_, select

from chimeway import store
from chimeway.digesting import flush
from chimeway.dispatch.here import Work, deliver_here
from chimeway.engine.due import due_runs, stalled_runs
from chimeway.engine.progress import progress_run
from chimeway.engine.router import route_signal
from chimeway.fanout import Chunk
from chimeway.feedback_processing import process
from chimeway.models import Orchestration
from chimeway.planning import delivering_here
from chimeway.redriving import OWN_TIME, due_deliveries
from chimeway.tables import deliveries, digest_buckets, fanouts, feedback, signals

logger = logging.getLogger("chimeway")

#: Rows that are looked up at once.
BATCH = 200


def sweep_here(now: datetime) -> dict[str, int]:
    """Do a round; give how much of each kind was done.

    Args:
        now: The time.

    Raises:
        ConfigError: The jobs cannot be used as configured.
        StorageError: The database failed; what was done by then stays so.
    """
    old = now - timedelta(seconds=OWN_TIME)
    unflushed = digest_buckets.c.flushed_at.is_(None) & (digest_buckets.c.due_at <= now)
    return {
        "chunks": _deliver_all(_chunks),
        "signals": _each(
            partial(_ids, table=signals, which=signals.c.processed_at.is_(None)), route_signal, now
        ),
        "feedback": _each(
            partial(_ids, table=feedback, which=feedback.c.processed_at.is_(None)), process, now
        ),
        "waits": _each(partial(due_runs, now=now, limit=BATCH), progress_run, now),
        "stalled": _each(partial(stalled_runs, before=old, limit=BATCH), progress_run, now),
        "digests": _each(partial(_ids, table=digest_buckets, which=unflushed), flush, now),
        "deliveries": _deliver_all(partial(_due, now=now)),
    }


def _each(
    find: Callable[[Connection], list[str]], do: Callable[[Connection, str, datetime], Any], now: datetime
) -> int:
    """Do something for each row that is found, in a transaction of its own, and deliver what it plans."""
    done: set[str] = set()
    while found := [one for one in store.read(find) if one not in done]:
        for row_id in found:
            with delivering_here() as planned:
                store.write(do, row_id, now)
            deliver_here(planned)
            done.add(row_id)
    return len(done)


def _deliver_all(find: Callable[[Connection], Sequence[Work]]) -> int:
    done: set[Work] = set()
    while found := [one for one in store.read(find) if one not in done]:
        deliver_here(found)
        done.update(found)
    return len(done)


def _ids(connection: Connection, *, table: Table, which: ColumnElement[bool]) -> list[str]:
    return list(connection.scalars(select(table.c.id).where(which).limit(BATCH)))


def _due(connection: Connection, *, now: datetime) -> list[Work]:
    # A young one is being delivered by the process that has triggered it.
    young = (deliveries.c.status == "pending") & (
        deliveries.c.updated_at >= now - timedelta(seconds=OWN_TIME)
    )
    ripe = or_(~young, deliveries.c.orchestration_state == Orchestration.DEFERRED.value)
    writing = deliveries.c.orchestration_state == Orchestration.CONTENT_PENDING.value
    query = select(deliveries.c.id).where(due_deliveries(now), ripe, ~writing).limit(BATCH)
    return list(connection.scalars(query))


def _chunks(connection: Connection) -> list[Work]:
    query = select(fanouts.c.event_id, fanouts.c.chunk).where(fanouts.c.planned_at.is_(None)).limit(BATCH)
    return [Chunk(event_id, number) for event_id, number in connection.execute(query)]
