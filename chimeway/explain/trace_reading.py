"""Reads what became of an event, and puts it together."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from chimeway.explain.composing import explain_known_delivery, explain_known_run, of_a_run
from chimeway.explain.delivery_timeline import delivery_entries, event_entries, notification_entries
from chimeway.explain.explanation import Trace
from chimeway.explain.ordering import in_order
from chimeway.explain.reading import read_carriers, read_runs, read_situations
from chimeway.explain.situation import Surroundings
from chimeway.explain.trace_words import ChunkSituation, trace_words
from chimeway.models import Delivery, Event, WorkflowRun
from chimeway.rows import as_record
from chimeway.tables import deliveries, fanouts, notifications, runs

#: Deliveries, and runs, of one event that are explained.
MOST = 100


def read_trace(connection: Connection, event: Event, where: Surroundings) -> Trace:
    """Read what became of an event.

    Args:
        connection: A transaction.
        event: The event.
        where: Who is there to do what is left.
    """
    mine = notifications.c.event_id == event.event_id
    notification_count = connection.execute(select(func.count()).where(mine)).scalar_one()
    by_status = select(deliveries.c.status, func.count()).where(deliveries.c.event_id == event.event_id)
    statuses = {
        str(status): int(n) for status, n in connection.execute(by_status.group_by(deliveries.c.status))
    }
    chunks = _chunks(connection, event.event_id)
    words = trace_words(event.created_at, statuses, notification_count, chunks, where)
    known = read_situations(connection, _first(connection, event.event_id))
    going = read_runs(connection, _first_runs(connection, event.event_id))
    placed = [*event_entries(event)]
    for about in known:
        placed += [*notification_entries(about.notification), *delivery_entries(about)]
    for run in going:
        placed += of_a_run(run)
    return Trace(
        event_id=event.event_id,
        tenant_id=event.tenant_id,
        notification_key=event.notification_key,
        idempotency_key=event.idempotency_key,
        correlation_id=event.correlation_id,
        created_at=event.created_at,
        summary=f"{event.notification_key!r}: {words.sentence}",
        remedy=words.remedy,
        notification_count=notification_count,
        unplanned_count=sum(one.recipient_count for one in chunks if one.planned_at is None),
        statuses=statuses,
        deliveries=[explain_known_delivery(one, where) for one in known],
        runs=[explain_known_run(one, where) for one in going],
        timeline=in_order(placed),
    )


def _first(connection: Connection, event_id: str) -> list[Delivery]:
    query = select(deliveries).where(deliveries.c.event_id == event_id)
    ordered = query.order_by(deliveries.c.created_at, deliveries.c.id).limit(MOST)
    return [as_record(Delivery, row) for row in connection.execute(ordered).mappings()]


def _first_runs(connection: Connection, event_id: str) -> list[WorkflowRun]:
    query = select(runs).where(runs.c.event_id == event_id).order_by(runs.c.started_at, runs.c.id).limit(MOST)
    return [as_record(WorkflowRun, row) for row in connection.execute(query).mappings()]


def _chunks(connection: Connection, event_id: str) -> list[ChunkSituation]:
    columns = (fanouts.c.chunk, fanouts.c.planned_at, fanouts.c.error, fanouts.c.carrier_id)
    size = func.json_array_length(fanouts.c.recipients)
    query = (
        select(*columns, size.label("size")).where(fanouts.c.event_id == event_id).order_by(fanouts.c.chunk)
    )
    rows = connection.execute(query).all()
    carriers = read_carriers(connection, [row.carrier_id for row in rows if row.planned_at is None])
    return [
        ChunkSituation(
            chunk=row.chunk,
            recipient_count=row.size,
            planned_at=row.planned_at,
            error=row.error,
            carrier_id=row.carrier_id,
            carrier=carriers.get(row.carrier_id or ""),
        )
        for row in rows
    ]
