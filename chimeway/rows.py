"""Rows as records, read in a transaction."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection, Table, select

from chimeway.errors import NotificationNotFound
from chimeway.models import (
    Attempt,
    Delivery,
    DeliveryStatus,
    Event,
    Notification,
    Orchestration,
    Outcome,
    Record,
    RunState,
    Signal,
    WorkflowRun,
)
from chimeway.tables import attempts, deliveries, events, notifications, runs, signals

R = TypeVar("R", bound=Record)

#: Ids in one `IN (...)`; every database takes that many.
IN_ONE_READ = 500
ID_SHAPE = re.compile(r"[0-9A-Za-z]{1,32}")
#: What a column is turned into.
_KINDS: Mapping[str, Any] = {
    "status": DeliveryStatus,
    "orchestration_state": Orchestration,
    "outcome": Outcome,
    "state": RunState,
}
#: What the column `id` is called in each record.
_ID_NAMES: Mapping[type[Record], str] = {
    Event: "event_id",
    Notification: "notification_id",
    Delivery: "delivery_id",
    WorkflowRun: "run_id",
    Signal: "signal_id",
}


def as_record(kind: type[R], row: Mapping[Any, Any]) -> R:
    """Turn a row into a record; columns that the record does not have are left out."""
    known = kind.__dataclass_fields__
    values: dict[str, Any] = {}
    for column, value in row.items():
        name = _ID_NAMES[kind] if column == "id" and kind in _ID_NAMES else str(column)
        if name in known:
            wrap = _KINDS.get(name)
            values[name] = wrap(value) if wrap is not None and value is not None else value
    return kind(**values)


def find_event(connection: Connection, event_id: str) -> Event | None:
    """Read an event; None if there is none."""
    return _find(connection, Event, events, event_id)


def find_notification(connection: Connection, notification_id: str) -> Notification | None:
    """Read a notification; None if there is none."""
    return _find(connection, Notification, notifications, notification_id)


def find_delivery(connection: Connection, delivery_id: str) -> Delivery | None:
    """Read a delivery; None if there is none."""
    return _find(connection, Delivery, deliveries, delivery_id)


def find_run(connection: Connection, run_id: str) -> WorkflowRun | None:
    """Read a workflow's run; None if there is none."""
    return _find(connection, WorkflowRun, runs, run_id)


def find_signal(connection: Connection, signal_id: str) -> Signal | None:
    """Read a signal; None if there is none."""
    return _find(connection, Signal, signals, signal_id)


def get_event(connection: Connection, event_id: str) -> Event:
    """Read an event.

    Raises:
        NotificationNotFound: There is none.
    """
    return _got(find_event(connection, event_id), "event", event_id)


def get_notification(connection: Connection, notification_id: str) -> Notification:
    """Read a notification.

    Raises:
        NotificationNotFound: There is none.
    """
    return _got(find_notification(connection, notification_id), "notification", notification_id)


def get_delivery(connection: Connection, delivery_id: str) -> Delivery:
    """Read a delivery.

    Raises:
        NotificationNotFound: There is none.
    """
    return _got(find_delivery(connection, delivery_id), "delivery", delivery_id)


def get_run(connection: Connection, run_id: str) -> WorkflowRun:
    """Read a workflow's run.

    Raises:
        NotificationNotFound: There is none.
    """
    return _got(find_run(connection, run_id), "workflow run", run_id)


def attempts_of(connection: Connection, delivery_id: str) -> list[Attempt]:
    """Read the attempts of a delivery, in the order in which they were recorded."""
    query = select(attempts).where(attempts.c.delivery_id == delivery_id)
    ordered = query.order_by(
        attempts.c.created_at, attempts.c.attempt_number, attempts.c.source, attempts.c.sequence
    )
    return [as_record(Attempt, row) for row in connection.execute(ordered).mappings()]


def deliveries_of_event(connection: Connection, event_id: str) -> list[Delivery]:
    """Read the deliveries of an event, by recipient and then in the order in which they were planned."""
    query = select(deliveries).where(deliveries.c.event_id == event_id)
    ordered = query.order_by(deliveries.c.recipient_identity, deliveries.c.created_at, deliveries.c.channel)
    return [as_record(Delivery, row) for row in connection.execute(ordered).mappings()]


def runs_of_event(connection: Connection, event_id: str) -> list[WorkflowRun]:
    """Read the workflow runs of an event, by recipient."""
    query = select(runs).where(runs.c.event_id == event_id).order_by(runs.c.recipient_identity)
    return [as_record(WorkflowRun, row) for row in connection.execute(query).mappings()]


def notifications_of_event(connection: Connection, event_id: str) -> list[Notification]:
    """Read the notifications of an event, by recipient."""
    query = select(notifications).where(notifications.c.event_id == event_id)
    ordered = query.order_by(notifications.c.recipient_identity)
    return [as_record(Notification, row) for row in connection.execute(ordered).mappings()]


def in_parts(ids: Iterable[str]) -> Iterator[Sequence[str]]:
    """Split ids into as many as one `IN (...)` takes.

    Yields:
        Up to `IN_ONE_READ` of them.
    """
    many = list(ids)
    for start in range(0, len(many), IN_ONE_READ):
        yield many[start : start + IN_ONE_READ]


def known_id(value: object) -> bool:
    """Say whether a value can be an id of a row; anything may stand in a URL, and not every database may be asked for it."""
    return isinstance(value, str) and ID_SHAPE.fullmatch(value) is not None


def _find(connection: Connection, kind: type[R], table: Table, row_id: str) -> R | None:
    if not known_id(row_id):
        return None
    row = connection.execute(select(table).where(table.c.id == row_id)).mappings().first()
    return None if row is None else as_record(kind, row)


def _got(found: R | None, what: str, row_id: str) -> R:
    if found is None:
        raise NotificationNotFound(f"no {what} {row_id!r} in this database")
    return found
