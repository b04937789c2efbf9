"""Puts explanations together of what is known: the words, the facts and the timeline. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from chimeway.explain.delivery_timeline import delivery_entries, event_entries, notification_entries
from chimeway.explain.delivery_words import delivery_words
from chimeway.explain.explanation import Explanation, as_json
from chimeway.explain.ordering import Placed, in_order
from chimeway.explain.run_timeline import signal_entries, transition_entries
from chimeway.explain.run_words import run_words
from chimeway.explain.situation import Carrier, DeliverySituation, RunSituation, Surroundings
from chimeway.explain.step_words import step_explanations

_DELIVERY_FACTS = (
    "channel",
    "step_key",
    "run_id",
    "orchestration_state",
    "outcome",
    "attempt_count",
    "max_attempts",
    "next_attempt_at",
    "lease_until",
    "eligible_at",
    "digest_bucket_id",
    "adapter",
    "provider_message_id",
    "carrier_id",
    "created_at",
    "terminal_at",
)
_RUN_FACTS = (
    "workflow_key",
    "workflow_version",
    "current_step_key",
    "due_at",
    "wait_to",
    "carrier_id",
    "started_at",
    "ended_at",
)


def explain_known_delivery(about: DeliverySituation, where: Surroundings) -> Explanation:
    """Put together what is told of a delivery.

    Args:
        about: What is known of it.
        where: Who is there to do what is left.
    """
    delivery = about.delivery
    words = delivery_words(about, where)
    return Explanation(
        kind="delivery",
        explained_id=delivery.delivery_id,
        **_whose(delivery, about.event.correlation_id),
        state=delivery.status.value,
        reason=words.reason,
        summary=f"{delivery.channel} to {delivery.recipient_identity!r}: {words.sentence}",
        remedy=words.remedy,
        facts={**_facts(delivery, _DELIVERY_FACTS), "carrier_state": _state(about.carrier)},
        timeline=in_order(_of_a_delivery(about)),
    )


def explain_known_run(about: RunSituation, where: Surroundings) -> Explanation:
    """Put together what is told of a run.

    Args:
        about: What is known of it.
        where: Who is there to do what is left.
    """
    run = about.run
    words = run_words(about, where)
    return Explanation(
        kind="run",
        explained_id=run.run_id,
        **_whose(about.notification, about.event.correlation_id),
        state=run.state.value,
        reason=words.reason,
        summary=f"workflow {run.workflow_key!r} for {run.recipient_identity!r}: {words.sentence}",
        remedy=words.remedy,
        facts={**_facts(run, _RUN_FACTS), "carrier_state": _state(about.carrier)},
        steps=step_explanations(about, where),
        timeline=in_order(of_a_run(about)),
    )


def of_a_run(about: RunSituation) -> Iterator[Placed]:
    """Tell what happened to a run and to its deliveries.

    Yields:
        Entries, in no order.
    """
    yield from event_entries(about.event)
    yield from notification_entries(about.notification)
    yield from transition_entries(tuple(about.transitions))
    yield from signal_entries(about)
    for one in about.deliveries:
        yield from delivery_entries(one)


def _of_a_delivery(about: DeliverySituation) -> Iterator[Placed]:
    yield from event_entries(about.event)
    yield from notification_entries(about.notification)
    yield from delivery_entries(about)
    # What planned it, and what the workflow made of it.
    delivery = about.delivery
    own = (
        one
        for one in about.transitions
        if one.delivery_id == delivery.delivery_id or (one.context or {}).get("from") == delivery.step_key
    )
    yield from transition_entries(tuple(own))


def _whose(about: Any, correlation_id: str | None) -> dict[str, Any]:
    return {
        "tenant_id": about.tenant_id,
        "event_id": about.event_id,
        "notification_id": about.notification_id,
        "notification_key": about.notification_key,
        "recipient": about.recipient_identity,
        "correlation_id": correlation_id,
    }


def _facts(record: Any, names: tuple[str, ...]) -> Mapping[str, Any]:
    values = ((name, getattr(record, name)) for name in names)
    return {
        name: value.isoformat() if isinstance(value, datetime) else as_json(value)
        for name, value in values
        if value not in {None, ""}
    }


def _state(carrier: Carrier | None) -> str | None:
    return None if carrier is None else carrier.job.state
