"""How many deliveries a cap or a throttle counts.

Where a delivery is planned, those count that may go out: two that are planned in two transactions at once see nothing of
each other, and both pass. Where it is about to be sent, those count that were sent or are being sent; there `lock_counts`
lets one of a recipient's be decided at a time, so that no more go out than there may.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, and_, distinct, func, or_, select

from chimeway.models import DeliveryStatus, Orchestration
from chimeway.policy import SILENT_CHANNELS, Checkpoint, DeliveryCap, Throttle
from chimeway.rows import in_parts
from chimeway.tables import deliveries, events

#: What never goes out by itself.
_GONE = [DeliveryStatus.SUPPRESSED.value, DeliveryStatus.CANCELLED.value, DeliveryStatus.DIGESTED.value]
#: By recipient, and by the value of the throttle's key.
Throttled = dict[tuple[str, str], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counting:
    """What is counted."""

    checkpoint: Checkpoint
    tenant_id: str
    now: datetime


def lock_counts(connection: Connection, tenant_id: str, identity: str) -> None:
    """Let whoever counts this recipient's deliveries in another transaction wait for the end of this one.

    SQLite has one writer at a time anyway.
    """
    if connection.dialect.name == "postgresql":
        name = f"chimeway:{tenant_id}:{identity}"
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))


def count_for_caps(
    connection: Connection,
    counting: Counting,
    caps: Mapping[str, DeliveryCap],
    *,
    apart_from: str | None = None,
) -> dict[str, int]:
    """Count the deliveries of recipients within the time of their caps, by recipient; none for those who have none.

    Args:
        connection: A transaction.
        counting: What is counted.
        caps: The caps, by recipient.
        apart_from: The delivery that is asked about.
    """
    found: dict[str, int] = {}
    for seconds in sorted({cap.seconds for cap in caps.values()}):
        identities = [identity for identity, cap in caps.items() if cap.seconds == seconds]
        for part in in_parts(identities):
            query = (
                select(deliveries.c.recipient_identity, func.count())
                .where(
                    _counted(counting, part, seconds),
                    deliveries.c.channel.not_in(SILENT_CHANNELS),
                    deliveries.c.id != (apart_from or ""),
                )
                .group_by(deliveries.c.recipient_identity)
            )
            found |= {str(identity): int(count) for identity, count in connection.execute(query)}
    return found


def count_for_throttle(
    connection: Connection,
    counting: Counting,
    throttle: Throttle,
    identities: Collection[str],
    *,
    notification_key: str,
    channel: str,
    apart_from: Collection[str],
) -> Throttled:
    """Count the notifications that a throttle counts, by recipient and value of its key.

    Args:
        connection: A transaction.
        counting: What is counted.
        throttle: The throttle.
        identities: The recipients.
        notification_key: The notifier's.
        channel: The channel.
        apart_from: The notifications that are asked about: a reminder is no news.
    """
    found: Throttled = {}
    for part in in_parts(identities):
        where = and_(
            _counted(counting, part, throttle.seconds),
            deliveries.c.notification_key == notification_key,
            deliveries.c.channel == channel,
            deliveries.c.notification_id.not_in(apart_from),
        )
        found |= _by_value(connection, where, throttle) if throttle.key else _all(connection, where)
    return found


def _all(connection: Connection, where: ColumnElement[bool]) -> Throttled:
    number = func.count(distinct(deliveries.c.notification_id))
    query = select(deliveries.c.recipient_identity, number).where(where)
    rows = connection.execute(query.group_by(deliveries.c.recipient_identity))
    return {(str(identity), ""): int(count) for identity, count in rows}


def _by_value(connection: Connection, where: ColumnElement[bool], throttle: Throttle) -> Throttled:
    """Compare here what the two databases spell differently: a value in JSON."""
    query = (
        select(deliveries.c.recipient_identity, deliveries.c.notification_id, events.c.payload)
        .join_from(deliveries, events, deliveries.c.event_id == events.c.id)
        .where(where)
    )
    told: dict[tuple[str, str], set[str]] = {}
    for row in connection.execute(query).mappings():
        which = (row["recipient_identity"], throttle.value_of(row["payload"]))
        told.setdefault(which, set()).add(row["notification_id"])
    return {which: len(ids) for which, ids in told.items()}


def _counted(counting: Counting, identities: Collection[str], seconds: int) -> ColumnElement[bool]:
    since = counting.now - timedelta(seconds=seconds)
    mine = and_(deliveries.c.tenant_id == counting.tenant_id, deliveries.c.recipient_identity.in_(identities))
    if counting.checkpoint == "planning":
        return and_(
            mine,
            deliveries.c.created_at > since,
            deliveries.c.status.not_in(_GONE),
            deliveries.c.orchestration_state != Orchestration.DIGEST_HELD.value,
        )
    sent = and_(deliveries.c.status == DeliveryStatus.SUCCEEDED.value, deliveries.c.terminal_at > since)
    return and_(mine, or_(deliveries.c.status == DeliveryStatus.DISPATCHED.value, sent))
