"""What is in the way of work that is due: nobody serves the queue, its job is gone, or its own process has not got to it."""

from __future__ import annotations

from datetime import timedelta

from chimeway.explain.explanation import Words
from chimeway.explain.situation import Carrier, DeliverySituation, Hold, Surroundings
from chimeway.redriving import OWN_TIME

#: Characters of an id that people are shown.
SHORT = 8


def due_delivery(about: DeliverySituation, where: Surroundings) -> Words:
    """Say why a delivery that may go out has not been taken yet."""
    delivery = about.delivery
    if about.carrier is not None or delivery.carrier_id is not None:
        return due_work(about.carrier, where.delivering, where)
    until = delivery.updated_at + timedelta(seconds=OWN_TIME)
    if where.now < until:
        said = (
            "the process that triggered it is to deliver it and has not done so yet; "
            f"from {where.time(until)} on the sweep takes it up"
        )
        return Words(reason="with_its_process", sentence=said)
    return by_the_sweep(
        "left_by_its_process",
        "the process that triggered it has not delivered it",
        where.sweeping_itself,
        does="has it sent",
    )


def due_work(carrier: Carrier | None, hold: Hold | None, where: Surroundings) -> Words:
    """Say why work that is due and has, or had, a job is not done yet.

    Args:
        carrier: The job; None if its row is gone.
        hold: Why nobody takes jobs of its kind.
        where: Who is there.
    """
    if carrier is None:
        return by_the_sweep("carrier_missing", "its job is gone", where.sweeping)
    named = f"its job {carrier.job.job_id[:SHORT]}"
    if carrier.ended:
        failed = f" with {carrier.failure}" if carrier.failure else ""
        return by_the_sweep(
            "carrier_ended", f"{named} was {carrier.job.state}{failed} and left it undone", where.sweeping
        )
    if carrier.runs:
        return Words(reason="carrier_running", sentence=f"{named} runs at this moment")
    if hold is not None:
        return Words(reason=hold.reason, sentence=f"{named} waits: {hold.sentence}", remedy=hold.remedy)
    own = carrier.own_reason(where)
    return Words(
        reason="queued",
        sentence=f"{named} waits: {own}"
        if own
        else f"{named} waits for its turn in {carrier.job.queue_name!r}",
    )


def by_the_sweep(
    reason: str, sentence: str, hold: Hold | None, *, does: str = "gives it to another job"
) -> Words:
    """Say that the sweep takes something up, or why nobody sweeps.

    Args:
        reason: The word for what is to be taken up.
        sentence: What that is.
        hold: Why nobody sweeps.
        does: What the sweep does with it.
    """
    if hold is None:
        return Words(reason=reason, sentence=f"{sentence}; the next sweep {does}")
    return Words(
        reason=hold.reason,
        sentence=f"{sentence}, and the sweep that takes it up does not run: {hold.sentence}",
        remedy=hold.remedy,
    )


def later(words: Words, hold: Hold | None) -> Words:
    """Add to what is said of work that is to be done later that nobody would do it as things are."""
    if hold is None:
        return words
    return Words(
        reason=words.reason, sentence=f"{words.sentence}; as it is, {hold.sentence}", remedy=hold.remedy
    )
