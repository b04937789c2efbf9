"""Why a delivery that was to be sent ended as it did, in words. Pure."""

from __future__ import annotations

from aquila.sink.printable import one_line
from chimeway.explain.carrier_words import SHORT
from chimeway.explain.explanation import Words
from chimeway.explain.situation import DeliverySituation, Surroundings
from chimeway.models import Attempt, Delivery, Outcome

#: Characters of an error that are told.
LONGEST_ERROR = 200


def succeeded(about: DeliverySituation, where: Surroundings) -> Words:
    """Say how it arrived."""
    delivery = about.delivery
    moment = where.time(delivery.terminal_at or delivery.updated_at)
    by = f" by {delivery.adapter}" if delivery.adapter else ""
    said = f"delivered{by} at {moment}, in attempt {delivery.attempt_count}"
    if _confirmed(about):
        said += "; the provider has confirmed it"
    return Words(reason="delivered", sentence=said)


def digested(about: DeliverySituation, where: Surroundings) -> Words:
    """Say which digest it is part of."""
    delivery = about.delivery
    known = (delivery.reason_context or {}).get("digest_delivery_id")
    digest = known or (about.bucket.delivery_id if about.bucket else None)
    named = f" {digest[:SHORT]}" if digest else ""
    moment = where.time(delivery.terminal_at or delivery.updated_at)
    return Words(
        reason="digested",
        sentence=f"it went into a digest at {moment}: delivery{named} stands for it",
        remedy=f"`aquila notify explain {digest[:SHORT]}` tells of the digest" if digest else None,
    )


def cancelled(about: DeliverySituation, where: Surroundings) -> Words:
    """Say why it was given up or taken back."""
    match about.delivery.outcome:
        case Outcome.RETRIES_EXHAUSTED:
            return _exhausted(about, where)
        case Outcome.PERMANENT_FAILURE:
            return _permanent(about, where)
        case Outcome.BOUNCED:
            return _bounced(about, where)
        case _:
            return _taken_back(about, where)


def error_of(attempts: tuple[Attempt, ...]) -> str:
    """Give the last error in words."""
    failed = [one for one in attempts if one.error_class is not None]
    return error_words(failed[-1]) if failed else "its reason is not on record"


def error_words(attempt: Attempt) -> str:
    """Give an attempt's error as one line."""
    return one_line(attempt.error or str(attempt.error_class), LONGEST_ERROR)


def _exhausted(about: DeliverySituation, where: Surroundings) -> Words:
    delivery = about.delivery
    moment = where.time(delivery.terminal_at or delivery.updated_at)
    said = f"given up at {moment} after {delivery.attempt_count} attempts; the last: {error_of(tuple(about.attempts))}"
    return Words(reason="retries_exhausted", sentence=said, remedy=f"mend the cause, then {_retry(delivery)}")


def _permanent(about: DeliverySituation, where: Surroundings) -> Words:
    delivery = about.delivery
    moment = where.time(delivery.terminal_at or delivery.updated_at)
    if delivery.reason == "content_failed":
        error = (delivery.reason_context or {}).get("error")
        why = f": {one_line(str(error), LONGEST_ERROR)}" if error else ""
        said = f"given up at {moment}: no text could be written for it{why}"
        return Words(
            reason="content_failed", sentence=said, remedy=f"mend the cause, then {_retry(delivery)}"
        )
    said = f"refused at {moment}, in attempt {delivery.attempt_count}: {error_of(tuple(about.attempts))}"
    remedy = f"no further attempt helps as it is; mend the cause, then {_retry(delivery)}"
    return Words(reason="permanent_failure", sentence=said, remedy=remedy)


def _bounced(about: DeliverySituation, where: Surroundings) -> Words:
    delivery = about.delivery
    moment = where.time(delivery.terminal_at or delivery.updated_at)
    taken = next(
        (one for one in about.attempts if one.outcome is Outcome.DELIVERED and one.source == "send"), None
    )
    if taken is None:
        said = f"bounced at {moment}, in attempt {delivery.attempt_count}: {error_of(tuple(about.attempts))}"
    else:
        said = f"taken by {taken.adapter} at {where.time(taken.created_at)}, and bounced later, at {moment}"
    remedy = f"the address does not take it; correct it, then {_retry(delivery)}"
    return Words(reason="bounced", sentence=said, remedy=remedy)


def _taken_back(about: DeliverySituation, where: Surroundings) -> Words:
    delivery, run = about.delivery, about.run
    moment = where.time(delivery.terminal_at or delivery.updated_at)
    reason = delivery.reason or "cancelled"
    why = "" if reason == "cancelled" else f": {one_line(reason, LONGEST_ERROR)}"
    if run is not None and run.ended_at is not None and run.ended_at == delivery.terminal_at:
        return Words(reason="run_stopped", sentence=f"taken back with its workflow run at {moment}{why}")
    key = about.event.cancellation_key
    by = " (its trigger has a cancellation key)" if key else ""
    return Words(reason="cancelled", sentence=f"taken back at {moment}, before it was sent{why}{by}")


def _confirmed(about: DeliverySituation) -> bool:
    return any(one.source == "webhook" and one.outcome is Outcome.DELIVERED for one in about.attempts)


def _retry(delivery: Delivery) -> str:
    return f"`aquila notify retry {delivery.delivery_id[:SHORT]}`"
