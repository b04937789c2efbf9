"""Why a delivery that is not over has not gone out, in words. Pure."""

from __future__ import annotations

from aquila.sink.printable import one_line
from chimeway.explain.carrier_words import due_delivery, due_work, later
from chimeway.explain.ended_words import LONGEST_ERROR, error_of
from chimeway.explain.explanation import Words
from chimeway.explain.situation import DeliverySituation, Surroundings
from chimeway.models import Orchestration
from jobs.local_time import due_time


def pending(about: DeliverySituation, where: Surroundings) -> Words:
    """Say what a delivery waits for that nobody has sent yet."""
    match about.delivery.orchestration_state:
        case Orchestration.DEFERRED:
            return _deferred(about, where)
        case Orchestration.DIGEST_HELD:
            return _held(about, where)
        case Orchestration.CONTENT_PENDING:
            return _being_written(about, where)
        case Orchestration.READY:
            return _ready(about, where)


def dispatched(about: DeliverySituation, where: Surroundings) -> Words:
    """Say who has a delivery, and until when."""
    delivery = about.delivery
    began = f"attempt {delivery.attempt_count} of {delivery.max_attempts} began at {where.time(delivery.updated_at)}"
    is_cancelled = delivery.reason == "cancel_requested"
    until = delivery.lease_until
    if until is None or where.now <= until:
        by = "" if until is None else f", which has until {where.time(until)}"
        asked = "; it was cancelled meanwhile, and is not sent once more" if is_cancelled else ""
        return Words(
            reason="being_sent",
            sentence=f"being sent: {began}, and its worker has not reported yet{by}{asked}",
        )
    gone = f"{began}, and its worker was gone by {where.time(until)}: nobody knows whether it was sent"
    # Whoever takes it up ends what was cancelled, and sends nothing.
    then = "it was cancelled meanwhile, and is ended as cancelled" if is_cancelled else "it is sent again"
    next_one = due_work(about.carrier, where.delivering, where)
    return Words(
        reason="lease_expired",
        sentence=f"{gone}; {then}: {next_one.sentence}",
        remedy=next_one.remedy,
    )


def failed(about: DeliverySituation, where: Surroundings) -> Words:
    """Say when the next attempt comes, and why the last one failed."""
    delivery = about.delivery
    if delivery.orchestration_state is Orchestration.DEFERRED:
        return _deferred(about, where)
    error = error_of(tuple(about.attempts))
    remedy = _remedy(about)
    if delivery.reason == "retried":
        due = due_delivery(about, where)
        return Words(reason="retried", sentence=f"asked for once more; {due.sentence}", remedy=due.remedy)
    at = delivery.next_attempt_at
    number = f"retry {delivery.attempt_count + 1} of {delivery.max_attempts}"
    if at is None or at <= where.now:
        due = due_delivery(about, where)
        return Words(
            reason=due.reason,
            sentence=f"{number} is due: {due.sentence}; the last attempt: {error}",
            remedy=due.remedy or remedy,
        )
    words = Words(
        reason="retry_later", sentence=f"{number} {due_time(at, where.now)}: {error}", remedy=remedy
    )
    return later(words, where.delivering if delivery.carrier_id else where.sweeping_itself)


def _ready(about: DeliverySituation, where: Surroundings) -> Words:
    due = due_delivery(about, where)
    return Words(reason=due.reason, sentence=f"not sent yet: {due.sentence}", remedy=due.remedy)


def _deferred(about: DeliverySituation, where: Surroundings) -> Words:
    delivery = about.delivery
    facts = delivery.reason_context or {}
    hours = f" ({facts['start']} to {facts['end']} in {facts['time_zone']})" if "start" in facts else ""
    why = f"the recipient's quiet hours{hours}" if delivery.reason == "quiet_hours" else str(delivery.reason)
    until = delivery.eligible_at
    if until is None or until <= where.now:
        due = due_delivery(about, where)
        over = "" if until is None else f", which were over at {where.time(until)}"
        said = f"not sent yet: deferred by {why}{over}; {due.sentence}"
        return Words(reason=due.reason, sentence=said, remedy=due.remedy)
    reason = delivery.reason or "deferred"
    words = Words(
        reason=reason, sentence=f"not sent yet: deferred by {why}; it goes {due_time(until, where.now)}"
    )
    return later(words, where.delivering if delivery.carrier_id else where.sweeping_itself)


def _held(about: DeliverySituation, where: Surroundings) -> Words:
    bucket = about.bucket
    if bucket is None:
        return Words(reason="digest_held", sentence="not sent yet: held for a digest that is not on record")
    if where.now < bucket.due_at:
        due = due_time(bucket.due_at, where.now)
        words = Words(reason="digest_held", sentence=f"not sent yet: held for a digest that goes {due}")
        return later(words, where.delivering)
    said = f"not sent yet: held for a digest that was due at {where.time(bucket.due_at)}"
    hold = where.delivering or where.sweeping_itself
    if hold is None:
        return Words(reason="digest_due", sentence=f"{said}; its job or the next sweep sends it")
    return Words(reason=hold.reason, sentence=f"{said}; {hold.sentence}", remedy=hold.remedy)


def _being_written(about: DeliverySituation, where: Surroundings) -> Words:
    due = due_work(about.carrier, where.writing, where)
    remedy = due.remedy
    if about.carrier is not None and about.carrier.ended:
        remedy = remedy or f"`aquila jobs show {about.carrier.job.job_id[:8]}` tells what went wrong"
    return Words(
        reason="content_pending",
        sentence=f"not sent yet: a model is to write its text; {due.sentence}",
        remedy=remedy,
    )


def _remedy(about: DeliverySituation) -> str | None:
    last = about.attempts[-1] if about.attempts else None
    if last is None or last.error_class != "no_adapter":
        return None
    channel = one_line(about.delivery.channel, LONGEST_ERROR)
    return f"name one in the worker's module: chimeway.configure(channels={{{channel!r}: ...}})"
