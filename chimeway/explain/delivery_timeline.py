"""What happened to a delivery. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from chimeway.explain.carrier_words import SHORT
from chimeway.explain.ended_words import error_words
from chimeway.explain.explanation import Entry
from chimeway.explain.ordering import (
    ATTEMPT,
    BEGAN,
    ENDED,
    EVENT,
    MOVE,
    NOTIFICATION,
    PERSON,
    PLANNED,
    PROVIDER,
    Placed,
)
from chimeway.explain.situation import DeliverySituation, Feedback
from chimeway.models import Attempt, DeliveryStatus, Event, Notification, Orchestration

#: Statuses whose end the attempts do not tell.
_TOLD_BY_ITSELF = {DeliveryStatus.SUPPRESSED, DeliveryStatus.CANCELLED, DeliveryStatus.DIGESTED}


def event_entries(event: Event) -> Iterator[Placed]:
    """Tell of the event.

    Yields:
        One entry.
    """
    said = (
        f"event {event.event_id[:SHORT]} of {event.notification_key!r}, version {event.notification_version}"
    )
    entry = Entry(at=event.created_at, what="event_created", detail=f"{said}, was triggered", source="event")
    yield Placed(EVENT, entry)


def notification_entries(notification: Notification) -> Iterator[Placed]:
    """Tell of a notification, and of what its recipient did with it.

    Yields:
        Entries, in no order.
    """
    who = repr(notification.recipient_identity)
    yield Placed(
        NOTIFICATION,
        Entry(
            at=notification.created_at,
            what="notification_created",
            detail=f"notification {notification.notification_id[:SHORT]} to {who}",
            source="notification",
        ),
    )
    for what in ("seen", "read", "archived"):
        moment: datetime | None = getattr(notification, f"{what}_at")
        if moment is not None:
            entry = Entry(
                at=moment, what=f"notification_{what}", detail=f"{who} has {what} it", source="recipient"
            )
            yield Placed(PERSON, entry)


def delivery_entries(about: DeliverySituation) -> Iterator[Placed]:
    """Tell what happened to a delivery itself.

    Yields:
        Entries, in no order.
    """
    delivery = about.delivery
    base = _base(about)
    of = f" for the step {delivery.step_key!r}" if delivery.step_key else ""
    named = (
        f"delivery {delivery.delivery_id[:SHORT]} by {delivery.channel} to {delivery.recipient_identity!r}"
    )
    yield Placed(base + PLANNED, _entry(delivery.created_at, "delivery_planned", f"{named} was planned{of}"))
    if delivery.orchestration_state is Orchestration.DEFERRED and delivery.eligible_at is not None:
        said = f"deferred by {delivery.reason} until {delivery.eligible_at.isoformat(timespec='seconds')}"
        yield Placed(base + ENDED, _entry(delivery.updated_at, "delivery_deferred", said))
    if delivery.status is DeliveryStatus.DISPATCHED:
        began = f"attempt {delivery.attempt_count} by {delivery.channel} began"
        yield Placed(base + BEGAN, _entry(delivery.updated_at, "attempt_began", began))
    for attempt in about.attempts:
        yield from _attempt(attempt, delivery.channel, base)
    for one in about.feedback:
        yield from _feedback(one, delivery.channel, base)
    if delivery.status in _TOLD_BY_ITSELF and delivery.terminal_at is not None:
        outcome = str(delivery.outcome or delivery.status)
        why = f" as {delivery.reason}" if delivery.reason not in {None, outcome} else ""
        said = f"{delivery.channel}: {outcome}{why}"
        yield Placed(base + ENDED, _entry(delivery.terminal_at, f"delivery_{delivery.status}", said))


def _base(about: DeliverySituation) -> int:
    planned = (one.seq for one in about.transitions if one.delivery_id == about.delivery.delivery_id)
    return MOVE * next(planned, 0)


def _attempt(one: Attempt, channel: str, base: int) -> Iterator[Placed]:
    named = f"attempt {one.attempt_number} by {channel}"
    by = f" with {one.adapter}" if one.adapter else ""
    came = _came_out(one)
    if one.source in {"lost", "late"}:
        yield Placed(
            base + BEGAN,
            Entry(at=one.started_at, what="attempt_began", detail=f"{named} began", source="attempt"),
        )
    if one.source == "webhook":
        said = f"{one.adapter} says of {named}: {came}"
        entry = Entry(at=one.started_at, what="webhook_received", detail=said, source="provider")
        yield Placed(base + PROVIDER, entry)
        return
    if one.source == "lost":
        said = (
            f"{named} is lost: its worker ended before it had an answer, and whether it was sent nobody knows"
        )
    elif one.source == "late":
        said = f"{named}{by} answered after its lease, and moved nothing: {came}"
    else:
        said = f"{named}{by}: {came}"
    what = "attempt_recorded" if one.source == "send" else f"attempt_{one.source}"
    yield Placed(base + ATTEMPT, Entry(at=one.created_at, what=what, detail=said, source="attempt"))


def _came_out(one: Attempt) -> str:
    if one.error_class is None:
        return str(one.outcome)
    kind = "" if one.error_class == one.outcome else f" ({one.error_class})"
    return f"{one.outcome}{kind}{f': {error_words(one)}' if one.error else ''}"


def _feedback(one: Feedback, channel: str, base: int) -> Iterator[Placed]:
    said = f"{one.adapter} says of {channel}: {one.kind}"
    if one.state == "queued":
        entry = Entry(
            at=one.received_at, what="webhook_queued", detail=f"{said}; not taken in yet", source="provider"
        )
        yield Placed(base + PROVIDER, entry)
    elif one.state == "ignored":
        at = one.processed_at or one.received_at
        detail = f"{said}; it changed nothing: {one.reason}"
        yield Placed(base + PROVIDER, Entry(at=at, what="webhook_ignored", detail=detail, source="provider"))


def _entry(at: datetime, what: str, detail: str) -> Entry:
    return Entry(at=at, what=what, detail=detail, source="delivery")
