"""The first phase: one worker gets the delivery, and nobody else until its lease is over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, insert, select, update

from chimeway.delivery_content import content_of
from chimeway.dispatch.outcome import asked_to_cancel, conclude
from chimeway.message import OutgoingMessage
from chimeway.models import Delivery, DeliveryStatus, Orchestration, Outcome
from chimeway.planning import hand_to_carrier
from chimeway.policy import Defer, Suppress
from chimeway.policy_store import decide_one
from chimeway.rows import as_record, get_event, get_notification
from chimeway.tables import attempts, deliveries
from jobs.rows import new_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """An attempt that is to be made now."""

    delivery: Delivery
    token: str
    attempt: int
    started_at: datetime
    message: OutgoingMessage
    #: The adapter that gave no answer the last time: the message may be with it, so it is asked first.
    stay_with: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NotClaimed:
    """Nothing is to be sent now."""

    #: Why, in a word.
    reason: str
    #: When it is worth to ask again; None if it is not.
    again_at: datetime | None = None


def claim(
    connection: Connection, delivery_id: str, now: datetime, *, lease: Callable[[str], float]
) -> Claim | NotClaimed:
    """Take a delivery for one attempt, if it may go out now.

    Args:
        connection: A transaction that writes.
        delivery_id: The delivery.
        now: The time.
        lease: Gives the seconds for which nobody else may take it, by channel.
    """
    query = select(deliveries).where(deliveries.c.id == delivery_id).with_for_update()
    row = connection.execute(query).mappings().first()
    if row is None:
        # Its transaction was rolled back, or it is pruned.
        return NotClaimed(reason="not_found")
    seen = as_record(Delivery, row)
    if (why := _why_not(seen, now)) is not None:
        return why
    if seen.status is DeliveryStatus.DISPATCHED and (over := _take_over(connection, seen, now)) is not None:
        return over
    decision = decide_one(connection, seen, now)
    if isinstance(decision, Suppress):
        conclude(connection, seen, Outcome.SUPPRESSED, now, reason=decision.reason, **decision.context)
        return NotClaimed(reason=decision.reason)
    if isinstance(decision, Defer):
        _defer(connection, seen, decision, now)
        return NotClaimed(reason=decision.reason)
    return _taken(connection, seen, now, lease(seen.channel))


def _why_not(seen: Delivery, now: datetime) -> NotClaimed | None:
    if seen.status.terminal:
        return NotClaimed(reason=seen.status.value)
    waits = {Orchestration.DIGEST_HELD, Orchestration.CONTENT_PENDING}
    if seen.orchestration_state in waits:
        return NotClaimed(reason=seen.orchestration_state.value)
    if seen.orchestration_state is Orchestration.DEFERRED and seen.eligible_at and seen.eligible_at > now:
        return NotClaimed(reason="deferred", again_at=seen.eligible_at)
    if seen.status is DeliveryStatus.FAILED and seen.next_attempt_at and seen.next_attempt_at > now:
        return NotClaimed(reason="retry_later", again_at=seen.next_attempt_at)
    if seen.status is DeliveryStatus.DISPATCHED and seen.lease_until and seen.lease_until >= now:
        return NotClaimed(reason="dispatched", again_at=seen.lease_until)
    return None


def _take_over(connection: Connection, seen: Delivery, now: datetime) -> NotClaimed | None:
    """Go on with a delivery whose worker is gone; give why there is nothing to go on with."""
    _record_lost(connection, seen, now)
    if (asked := asked_to_cancel(seen.reason, seen.reason_context)) is not None:
        conclude(connection, seen, Outcome.CANCELLED, now, reason=asked)
        return NotClaimed(reason=Outcome.CANCELLED.value)
    if seen.attempt_count < seen.max_attempts:
        return None
    facts: dict[str, Any] = {"attempts": seen.attempt_count, "error_class": "lease_expired"}
    conclude(connection, seen, Outcome.RETRIES_EXHAUSTED, now, **facts)
    return NotClaimed(reason=Outcome.RETRIES_EXHAUSTED.value)


def _record_lost(connection: Connection, seen: Delivery, now: datetime) -> None:
    """Put on record that the last attempt's worker is gone: whether it sent anything nobody knows."""
    connection.execute(
        insert(attempts).values(
            delivery_id=seen.delivery_id,
            attempt_number=seen.attempt_count,
            source="lost",
            sequence=0,
            outcome=Outcome.TEMPORARY_FAILURE.value,
            error_class="lease_expired",
            error="the process that sent it ended before it had an answer",
            adapter=seen.adapter or "",
            started_at=seen.updated_at,
            created_at=now,
        )
    )


def _defer(connection: Connection, seen: Delivery, decision: Defer, now: datetime) -> None:
    changed = connection.execute(
        update(deliveries)
        .where(*_as_seen(seen))
        .values(
            orchestration_state=Orchestration.DEFERRED.value,
            status=DeliveryStatus.PENDING.value if seen.attempt_count == 0 else DeliveryStatus.FAILED.value,
            eligible_at=decision.until,
            next_attempt_at=decision.until if seen.attempt_count else None,
            claim_token=None,
            lease_until=None,
            reason=decision.reason,
            reason_context=dict(decision.context) or None,
            updated_at=now,
        )
    )
    if changed.rowcount == 1:
        hand_to_carrier(connection, seen, at=decision.until)


def _taken(connection: Connection, seen: Delivery, now: datetime, lease: float) -> Claim | NotClaimed:
    token, attempt = new_id(), seen.attempt_count + 1
    changed = connection.execute(
        update(deliveries)
        .where(*_as_seen(seen))
        .values(
            status=DeliveryStatus.DISPATCHED.value,
            orchestration_state=Orchestration.READY.value,
            claim_token=token,
            lease_until=now + timedelta(seconds=lease),
            attempt_count=attempt,
            next_attempt_at=None,
            reason=None,
            reason_context=None,
            updated_at=now,
        )
    )
    if changed.rowcount != 1:
        return NotClaimed(reason="taken")
    held = replace(seen, status=DeliveryStatus.DISPATCHED, claim_token=token, attempt_count=attempt)
    unanswered = (seen.reason_context or {}).get("error_class") == "timeout"
    return Claim(
        delivery=held,
        token=token,
        attempt=attempt,
        started_at=now,
        message=_message(connection, held, attempt),
        stay_with=seen.adapter if unanswered else None,
    )


def _as_seen(seen: Delivery) -> Sequence[Any]:
    """Give the condition under which nobody has moved the row since it was read."""
    return (
        deliveries.c.id == seen.delivery_id,
        deliveries.c.status == seen.status.value,
        deliveries.c.orchestration_state == seen.orchestration_state.value,
        deliveries.c.attempt_count == seen.attempt_count,
        deliveries.c.claim_token.is_(None)
        if seen.claim_token is None
        else deliveries.c.claim_token == seen.claim_token,
    )


def _message(connection: Connection, delivery: Delivery, attempt: int) -> OutgoingMessage:
    about = get_notification(connection, delivery.notification_id)
    event = get_event(connection, delivery.event_id)
    return OutgoingMessage(
        delivery_id=delivery.delivery_id,
        attempt=attempt,
        channel=delivery.channel,
        tenant_id=delivery.tenant_id,
        notification_id=about.notification_id,
        notification_key=about.notification_key,
        recipient_identity=about.recipient_identity,
        recipient_type=about.recipient_type,
        address=about.addresses.get(delivery.channel),
        content=content_of(connection, delivery, about.contents),
        created_at=delivery.created_at,
        correlation_id=event.correlation_id,
        category=event.category,
    )
