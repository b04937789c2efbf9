"""Takes in what a provider said of a message: the attempt is put on record, and its delivery and workflow follow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, func, insert, or_, select, update

import jobs
from chimeway import store
from chimeway.adapters.base import FeedbackKind
from chimeway.dispatch.outcome import conclude
from chimeway.feedback_verdict import (
    EVENT_NAMES,
    MOVED_BY_OTHERS,
    OTHER_ADAPTER,
    OUTCOMES,
    UNKNOWN_DELIVERY,
    Change,
    verdict,
)
from chimeway.models import Delivery, DeliveryStatus
from chimeway.rows import as_record
from chimeway.settings import settings
from chimeway.signal import add_signal
from chimeway.tables import attempts, deliveries, feedback

#: How long news wait for the attempt that they are about: a provider may be quicker than our own record of it.
PATIENCE = timedelta(minutes=10)
#: Seconds until such news are looked at again.
PAUSE = 15.0
_ERROR_CLASSES: dict[FeedbackKind, str | None] = {
    "delivered": None,
    "bounced": "bounced",
    "failed": "permanent",
}


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a piece of news."""

    #: Whether the delivery changed by it, or it was what the delivery said already.
    counts: bool
    #: Why it did not change, or the outcome that it has now.
    reason: str


@dataclass(frozen=True, slots=True)
class TooEarly:
    """The attempt that it is about is not on record yet."""


async def process_feedback(feedback_id: str) -> None:
    """Take in a piece of news; what the actor of that name does.

    Raises:
        Snooze: The attempt that it is about is not on record yet.
        StorageError: The database failed; the sweep asks again.
        ConfigError: The tables are missing.
    """
    taken = await store.awrite(process, feedback_id, settings().clock.now())
    if isinstance(taken, TooEarly):
        raise jobs.Snooze(PAUSE, f"feedback {feedback_id}: its attempt is not on record yet")


def process(connection: Connection, feedback_id: str, now: datetime) -> Taken | TooEarly | None:
    """Take in a piece of news, once; None if that was done before.

    Args:
        connection: A transaction that writes.
        feedback_id: Its row.
        now: The time.
    """
    mine = (feedback.c.id == feedback_id, feedback.c.processed_at.is_(None))
    row = connection.execute(select(feedback).where(*mine).with_for_update()).mappings().first()
    if row is None:
        return None
    found = _find(connection, row)
    may_wait = now - row["received_at"] < PATIENCE
    if may_wait and (found is None or found[0].status is DeliveryStatus.DISPATCHED):
        return TooEarly()
    if found is None:
        taken = Taken(counts=False, reason=UNKNOWN_DELIVERY)
    elif not _speaks_for(connection, row["adapter"], found[0]):
        taken = Taken(counts=False, reason=OTHER_ADAPTER)
    else:
        taken = _take(connection, row, *found, now)
    changes = {
        "state": "processed" if taken.counts else "ignored",
        "reason": taken.reason,
        "processed_at": now,
    }
    if found is not None:
        changes["delivery_id"] = found[0].delivery_id
    connection.execute(update(feedback).where(*mine).values(**changes))
    return taken


def _find(connection: Connection, row: Mapping[Any, Any]) -> tuple[Delivery, int | None] | None:
    """Give the delivery, kept from others until the transaction is over, and the attempt's number if that is known."""
    delivery_id, number = row["delivery_id"], None
    if row["provider_message_id"] is not None:
        query = select(attempts.c.delivery_id, attempts.c.attempt_number).where(
            attempts.c.adapter == row["adapter"],
            attempts.c.provider_message_id == row["provider_message_id"],
            *(() if delivery_id is None else (attempts.c.delivery_id == delivery_id,)),
        )
        known = connection.execute(query.order_by(attempts.c.created_at.desc()).limit(1)).first()
        if known is not None:
            delivery_id, number = known.delivery_id, known.attempt_number
    if delivery_id is None:
        return None
    locked = select(deliveries).where(deliveries.c.id == delivery_id).with_for_update()
    stored = connection.execute(locked).mappings().first()
    return None if stored is None else (as_record(Delivery, stored), number)


def _speaks_for(connection: Connection, adapter: str, delivery: Delivery) -> bool:
    """Say whether the adapter had the delivery: whoever knows one provider's secret says nothing about another's."""
    if delivery.attempt_count == 0 or delivery.status is DeliveryStatus.DISPATCHED:
        return True
    query = select(attempts.c.delivery_id).where(
        attempts.c.delivery_id == delivery.delivery_id,
        # Of an attempt whose worker died nobody knows who had it.
        or_(attempts.c.adapter == adapter, attempts.c.source == "lost"),
    )
    return connection.execute(query.limit(1)).first() is not None


def _take(
    connection: Connection, row: Mapping[Any, Any], delivery: Delivery, number: int | None, now: datetime
) -> Taken:
    decided = verdict(delivery, row["kind"], of_last_attempt=_is_of_last_attempt(row, delivery, number))
    if isinstance(decided, Change) or decided.is_news:
        _add_attempt(connection, row, delivery, number or delivery.attempt_count, now)
        # Told before the run moves on: a wait that begins with this move hears it, too.
        _tell(connection, row, delivery, now)
    if not isinstance(decided, Change):
        return Taken(counts=decided.counts, reason=decided.reason)
    moved = conclude(connection, delivery, decided.outcome, now, source="webhook", feedback_id=row["id"])
    return Taken(counts=moved, reason=decided.outcome.value if moved else MOVED_BY_OTHERS)


def _is_of_last_attempt(row: Mapping[Any, Any], delivery: Delivery, number: int | None) -> bool:
    if row["adapter"] != delivery.adapter:
        return False
    return (
        number in {None, delivery.attempt_count} or row["provider_message_id"] == delivery.provider_message_id
    )


def _add_attempt(
    connection: Connection, row: Mapping[Any, Any], delivery: Delivery, number: int, now: datetime
) -> None:
    same = (
        attempts.c.delivery_id == delivery.delivery_id,
        attempts.c.attempt_number == number,
        attempts.c.source == "webhook",
    )
    last = connection.execute(select(func.max(attempts.c.sequence)).where(*same)).scalar()
    connection.execute(
        insert(attempts).values(
            delivery_id=delivery.delivery_id,
            attempt_number=number,
            source="webhook",
            sequence=(last or 0) + 1,
            outcome=OUTCOMES[row["kind"]].value,
            error_class=_ERROR_CLASSES[row["kind"]],
            error=(row["detail"] or {}).get("detail") if row["kind"] != "delivered" else None,
            adapter=row["adapter"],
            provider_message_id=row["provider_message_id"],
            provider_response=row["detail"],
            started_at=row["received_at"],
            created_at=now,
        )
    )


def _tell(connection: Connection, row: Mapping[Any, Any], delivery: Delivery, now: datetime) -> None:
    add_signal(
        connection,
        tenant_id=delivery.tenant_id,
        actor_id=delivery.recipient_identity,
        event_name=EVENT_NAMES[row["kind"]],
        payload={
            "notification_id": delivery.notification_id,
            "delivery_id": delivery.delivery_id,
            "channel": delivery.channel,
        },
        now=now,
        dedup_key=f"chimeway.feedback:{row['id']}",
    )
