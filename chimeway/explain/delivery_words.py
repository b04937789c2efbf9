"""Where a delivery stands and why, in words. Pure."""

from __future__ import annotations

from chimeway.explain.ended_words import cancelled, digested, succeeded
from chimeway.explain.explanation import Words
from chimeway.explain.open_words import dispatched, failed, pending
from chimeway.explain.situation import DeliverySituation, Surroundings
from chimeway.explain.suppressed_words import suppressed
from chimeway.models import DeliveryStatus

_SAY = {
    DeliveryStatus.PENDING: pending,
    DeliveryStatus.DISPATCHED: dispatched,
    DeliveryStatus.FAILED: failed,
    DeliveryStatus.SUCCEEDED: succeeded,
    DeliveryStatus.SUPPRESSED: suppressed,
    DeliveryStatus.CANCELLED: cancelled,
    DeliveryStatus.DIGESTED: digested,
}


def delivery_words(about: DeliverySituation, where: Surroundings) -> Words:
    """Say where a delivery stands and why.

    Args:
        about: What is known of it.
        where: Who is there to do what is left.
    """
    return _SAY[about.delivery.status](about, where)
