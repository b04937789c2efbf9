"""Signals that take a delivery back at the last moment: the person has seen to it since it was planned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select

from chimeway.models import Delivery
from chimeway.policy import CancellingSignal
from chimeway.tables import signals
from chimeway.workflow.signal_match import default_match, payload_matches

#: How far the clocks of hosts may be apart: a signal that names the notification is about it, whenever it says it was.
SKEW = timedelta(hours=1)


def cancelling_signal(
    connection: Connection, delivery: Delivery, created_at: datetime
) -> CancellingSignal | None:
    """Give the first signal for which a delivery is taken back; None if there is none.

    Args:
        connection: A transaction.
        delivery: With `cancel_on`: `[{"event": ..., "match": {...}}]`. A match may name `$notification_id`, `$run_id` and
            `$event_id`; without one, a signal about notifications must be about this one.
        created_at: When the notification was added: what the recipient did before is about something else.
    """
    wanted = [_wanted(one, delivery) for one in delivery.cancel_on or ()]
    if not wanted:
        return None
    query = (
        select(signals.c.id, signals.c.event_name, signals.c.payload, signals.c.occurred_at)
        .where(
            signals.c.tenant_id == delivery.tenant_id,
            signals.c.actor_id == delivery.recipient_identity,
            signals.c.event_name.in_(sorted({name for name, _ in wanted})),
            signals.c.occurred_at >= created_at - SKEW,
        )
        .order_by(signals.c.occurred_at, signals.c.id)
    )
    for signal_id, event_name, payload, occurred_at in connection.execute(query):
        fitting = [
            fields for name, fields in wanted if name == event_name and payload_matches(fields, payload)
        ]
        if any(occurred_at >= created_at or _is_bound(fields, delivery) for fields in fitting):
            return CancellingSignal(signal_id=signal_id, event_name=event_name)
    return None


def _wanted(one: Mapping[str, Any], delivery: Delivery) -> tuple[str, Mapping[str, Any]]:
    name, match = one["event"], one.get("match")
    known = _known(delivery)
    fields = default_match(name) if match is None else match
    return name, {
        field: known.get(value, value) if isinstance(value, str) else value for field, value in fields.items()
    }


def _is_bound(fields: Mapping[str, Any], delivery: Delivery) -> bool:
    own: Sequence[Any] = list(_known(delivery).values())
    return any(value in own for value in fields.values() if value is not None)


def _known(delivery: Delivery) -> Mapping[str, Any]:
    return {
        "$notification_id": delivery.notification_id,
        "$run_id": delivery.run_id,
        "$event_id": delivery.event_id,
    }
