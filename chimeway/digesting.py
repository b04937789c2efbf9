"""Digests go out: what a bucket holds becomes one delivery, or goes out as it is if there is too little of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

import jobs
from chimeway import carriers, store
from chimeway.cancelling_signals import cancelling_signal
from chimeway.content import Content
from chimeway.delivery_content import content_of
from chimeway.digest_content import digest_content
from chimeway.dispatch.outcome import conclude
from chimeway.models import Delivery, Event, Notification, Orchestration, Outcome
from chimeway.planning import PlanOptions, Wanted, hand_to_carrier, plan_deliveries
from chimeway.rows import as_record, get_event, get_notification
from chimeway.settings import settings
from chimeway.store import add_jobs
from chimeway.tables import deliveries, digest_buckets, events, notifications
from jobs.rows import new_id

#: How the idempotency keys of digests' events begin.
KEY = "digest-bucket:"
#: With fewer there is nothing to put together.
FEWEST = 2
_HELD = (
    deliveries.c.status == "pending",
    deliveries.c.orchestration_state == Orchestration.DIGEST_HELD.value,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flushed:
    """What became of a bucket."""

    #: The digest's own delivery; None if the others went out as they were, or there was none.
    delivery_id: str | None = None
    #: Deliveries that the digest stands for.
    digested: int = 0
    #: Deliveries that went out as they were.
    released: int = 0
    #: Deliveries that were read or taken back meanwhile.
    left_out: int = 0
    #: When the bucket is due, if that is still to come; then nothing was done.
    due_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Member:
    """A delivery that a bucket holds, and what it says."""

    delivery: Delivery
    notification: Notification
    content: Content


async def flush_digest(bucket_id: str) -> None:
    """Send the digest of a bucket.

    Raises:
        Snooze: It is not due yet.
        StorageError: The database failed; nothing is sent, and the bucket is as it was.
        ConfigError: The tables are missing.
    """
    now = settings().clock.now()
    done = await store.awrite(flush, bucket_id, now)
    if done is not None and done.due_at is not None:
        raise jobs.Snooze((done.due_at - now).total_seconds(), f"digest {bucket_id}: not due yet")


def flush(connection: Connection, bucket_id: str, now: datetime) -> Flushed | None:
    """Close a bucket, and send what it holds; None if there is no such bucket or it was closed before.

    Args:
        connection: A transaction that writes.
        bucket_id: The bucket.
        now: The time.
    """
    query = select(digest_buckets).where(digest_buckets.c.id == bucket_id).with_for_update()
    bucket = connection.execute(query).mappings().first()
    if bucket is None or bucket["flushed_at"] is not None:
        return None
    if now < bucket["due_at"]:
        return Flushed(due_at=bucket["due_at"])
    still_open = (digest_buckets.c.id == bucket_id, digest_buckets.c.flushed_at.is_(None))
    if connection.execute(update(digest_buckets).where(*still_open).values(flushed_at=now)).rowcount != 1:
        return None
    held = _held(connection, bucket_id)
    members = [one for one in held if not _left_out(connection, one, now)]
    left_out = len(held) - len(members)
    if len(members) < max(FEWEST, bucket["options"].get("min_items") or 1):
        for one in members:
            _release(connection, one, now)
        return Flushed(released=len(members), left_out=left_out)
    sent = _send(connection, bucket, members, now)
    connection.execute(
        update(digest_buckets).where(digest_buckets.c.id == bucket_id).values(delivery_id=sent.delivery_id)
    )
    facts: dict[str, Any] = {"digest_delivery_id": sent.delivery_id, "bucket_id": bucket_id}
    for one in members:
        conclude(connection, one.delivery, Outcome.DIGESTED, now, where=_HELD, **facts)
    return Flushed(delivery_id=sent.delivery_id, digested=len(members), left_out=left_out)


def _held(connection: Connection, bucket_id: str) -> list[_Member]:
    query = (
        select(deliveries)
        .where(deliveries.c.digest_bucket_id == bucket_id, *_HELD)
        .order_by(deliveries.c.created_at, deliveries.c.id)
        .with_for_update()
    )
    found: list[_Member] = []
    for row in connection.execute(query).mappings().all():
        delivery = as_record(Delivery, row)
        notification = get_notification(connection, delivery.notification_id)
        content = content_of(connection, delivery, notification.contents)
        found.append(_Member(delivery=delivery, notification=notification, content=content))
    return found


def _left_out(connection: Connection, member: _Member, now: datetime) -> bool:
    """End a delivery that nobody needs any more; False for one that is still wanted."""
    about, facts = member.notification, dict[str, Any]()
    if about.read_at is not None:
        facts |= {"reason": "already_read", "read_at": about.read_at.isoformat()}
    elif (by := cancelling_signal(connection, member.delivery, about.created_at)) is not None:
        facts |= {"reason": "cancelled_by_signal", "signal": by.event_name, "signal_id": by.signal_id}
    else:
        return False
    return conclude(connection, member.delivery, Outcome.SUPPRESSED, now, where=_HELD, **facts)


def _release(connection: Connection, member: _Member, now: datetime) -> None:
    """Let a delivery go out as it is, once its text is written."""
    writes = member.content.prompt is not None and member.delivery.written is None
    state = Orchestration.CONTENT_PENDING if writes else Orchestration.READY
    job = carriers.write_content(member.delivery.delivery_id) if writes else None
    changes: dict[str, Any] = {
        "orchestration_state": state.value,
        "reason": state.value if writes else None,
        "reason_context": None,
        "updated_at": now,
    }
    if job is not None:
        changes["carrier_id"] = job.job_id
    mine = deliveries.c.id == member.delivery.delivery_id
    if connection.execute(update(deliveries).where(mine, *_HELD).values(**changes)).rowcount != 1:
        return
    if job is not None:
        add_jobs(connection, [job])
    else:
        hand_to_carrier(connection, member.delivery, at=None)


def _send(
    connection: Connection, bucket: Mapping[Any, Any], members: Sequence[_Member], now: datetime
) -> Delivery:
    """Add the event, the notification and the delivery of a digest."""
    told = [get_event(connection, one.delivery.event_id) for one in members]
    options = PlanOptions(max_attempts=max(one.delivery.max_attempts for one in members))
    event = _event(bucket, told, now)
    connection.execute(insert(events).values(**event, options=options.to_dict()))
    notification = {
        **{name: event[name] for name in ("tenant_id", "notification_key", "created_at")},
        "id": new_id(),
        "event_id": event["id"],
        "recipient_identity": bucket["recipient_identity"],
        "recipient_type": members[-1].notification.recipient_type,
        # The newest are the last, and count.
        "addresses": {name: at for one in members for name, at in one.notification.addresses.items()},
        "contents": {bucket["channel"]: _content(bucket, told[-1], members).to_dict()},
    }
    connection.execute(insert(notifications).values(**notification))
    wanted = Wanted(
        notification=as_record(Notification, notification),
        channel=bucket["channel"],
        category=event["category"],
        options=options,
        payload=event["payload"],
    )
    return plan_deliveries(connection, [wanted], now)[0]


def _event(bucket: Mapping[Any, Any], told: Sequence[Event], now: datetime) -> dict[str, Any]:
    correlations = {one.correlation_id for one in told}
    facts = {"bucket_id": bucket["id"], "count": len(told), "group": bucket["group_key"]}
    return {
        "id": new_id(),
        "tenant_id": bucket["tenant_id"],
        "notification_key": bucket["notification_key"],
        "notification_version": told[-1].notification_version,
        "idempotency_key": KEY + bucket["id"],
        "correlation_id": correlations.pop() if len(correlations) == 1 else None,
        "category": told[-1].category,
        "payload": {"digest": facts},
        "created_at": now,
    }


def _content(bucket: Mapping[Any, Any], newest: Event, members: Sequence[_Member]) -> Content:
    params = {"group": bucket["group_key"], **newest.payload}
    return digest_content([one.content for one in members], bucket["options"], params)
