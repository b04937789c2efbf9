"""What became of an event as a whole, in words. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from chimeway.explain.carrier_words import by_the_sweep, due_work
from chimeway.explain.explanation import Words
from chimeway.explain.situation import Carrier, Surroundings
from chimeway.models import DeliveryStatus
from chimeway.redriving import OWN_TIME


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkSituation:
    """Some recipients of an event of many."""

    chunk: int
    recipient_count: int
    planned_at: datetime | None
    #: Why they cannot be planned; with `planned_at`, why they never will be.
    error: str | None
    carrier_id: str | None
    carrier: Carrier | None


def trace_words(
    created_at: datetime,
    statuses: Mapping[str, int],
    notification_count: int,
    chunks: Sequence[ChunkSituation],
    where: Surroundings,
) -> Words:
    """Say what became of an event.

    Args:
        created_at: When it was triggered.
        statuses: Its deliveries by status.
        notification_count: Recipients that have a notification.
        chunks: Recipients that were left to jobs.
        where: Who is there to do what is left.
    """
    waiting = [one for one in chunks if one.planned_at is None]
    given_up = [one for one in chunks if one.planned_at is not None and one.error]
    parts = [_counts(statuses, notification_count)] if statuses or not (waiting or given_up) else []
    if given_up:
        number = sum(one.recipient_count for one in given_up)
        parts.append(f"{_recipients(number)} never planned: {given_up[0].error}")
    if not waiting:
        return Words(reason="planned", sentence="; ".join(parts))
    number = sum(one.recipient_count for one in waiting)
    why = _unplanned(created_at, waiting, where)
    parts.append(f"{_recipients(number)} not planned yet: {why.sentence}")
    return Words(reason=why.reason, sentence="; ".join(parts), remedy=why.remedy)


def _unplanned(created_at: datetime, waiting: Sequence[ChunkSituation], where: Surroundings) -> Words:
    first = next((one for one in waiting if one.error), waiting[0])
    if first.error:
        said, _, remedy = first.error.partition("; ")
        return Words(reason="planning_failed", sentence=said, remedy=remedy or None)
    if first.carrier_id is not None:
        return due_work(first.carrier, where.hold("chimeway_delivery", "plan"), where)
    if where.now < created_at + timedelta(seconds=OWN_TIME):
        return Words(reason="with_its_process", sentence="the process that triggered it is at it")
    return by_the_sweep(
        "left_by_its_process",
        "the process that triggered it has not planned them",
        where.sweeping_itself,
        does="plans them",
    )


def _counts(statuses: Mapping[str, int], notification_count: int) -> str:
    if not statuses:
        return (
            "nobody was told: it had no recipients"
            if not notification_count
            else f"nothing is planned for {_people(notification_count)}"
        )
    total = sum(statuses.values())
    by_status = [f"{statuses[one]} {one}" for one in DeliveryStatus if statuses.get(one)]
    deliveries = "1 delivery" if total == 1 else f"{total} deliveries"
    return f"{deliveries} to {_people(notification_count)}: {', '.join(by_status)}"


def _recipients(number: int) -> str:
    return "1 recipient is" if number == 1 else f"{number} recipients are"


def _people(number: int) -> str:
    return "1 recipient" if number == 1 else f"{number} recipients"
