"""What a provider's later word changes about a delivery. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from chimeway.adapters.base import FeedbackKind
from chimeway.models import Delivery, DeliveryStatus, Outcome

#: How an attempt's row has each kind of news. What a provider gives up on after it took it, no other attempt cures.
OUTCOMES: dict[FeedbackKind, Outcome] = {
    "delivered": Outcome.DELIVERED,
    "bounced": Outcome.BOUNCED,
    "failed": Outcome.PERMANENT_FAILURE,
}
#: What is told of each kind to runs that wait for it.
EVENT_NAMES: dict[FeedbackKind, str] = {
    "delivered": "chimeway.delivery.succeeded",
    "bounced": "chimeway.delivery.bounced",
    "failed": "chimeway.delivery.failed",
}

#: Why news change nothing.
CONFIRMED = "confirmed"
NOT_SENT = "not_sent"
ALREADY_BOUNCED = "already_bounced"
ALREADY_ENDED = "already_ended"
FAILED_AFTER_SUCCESS = "failed_after_success"
RETRY_GOES_ON = "retry_goes_on"
#: The message that bounced is one of an attempt before that which succeeded.
EARLIER_ATTEMPT = "earlier_attempt"
UNKNOWN_DELIVERY = "unknown_delivery"
OTHER_ADAPTER = "other_adapter"
MOVED_BY_OTHERS = "moved_by_others"


@dataclass(frozen=True, slots=True)
class Change:
    """The delivery comes out otherwise than it stands."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Keep:
    """The delivery stays as it is."""

    #: Why, in a word.
    reason: str

    @property
    def is_news(self) -> bool:
        """Whether the provider said something about a message that it was sent."""
        return self.reason != NOT_SENT

    @property
    def counts(self) -> bool:
        """Whether it was what the delivery says already."""
        return self.reason == CONFIRMED


def verdict(delivery: Delivery, kind: FeedbackKind, *, of_last_attempt: bool = True) -> Change | Keep:
    """Say what a piece of news does.

    A late bounce takes a success back, and a success ends the retries. An end that was reached otherwise stays.

    Args:
        delivery: As it stands.
        kind: What the provider says.
        of_last_attempt: Whether it is about the message of the last attempt.
    """
    if delivery.attempt_count == 0:
        return Keep(NOT_SENT)
    match delivery.status:
        case DeliveryStatus.DISPATCHED | DeliveryStatus.FAILED | DeliveryStatus.PENDING:
            # It was sent before, and would be sent again.
            return Keep(RETRY_GOES_ON) if kind == "failed" else Change(OUTCOMES[kind])
        case DeliveryStatus.SUCCEEDED:
            return _of_a_success(kind, of_last_attempt=of_last_attempt)
        case _ if kind == "bounced" and delivery.outcome is Outcome.BOUNCED:
            return Keep(ALREADY_BOUNCED)
        case _:
            return Keep(ALREADY_ENDED)


def _of_a_success(kind: FeedbackKind, *, of_last_attempt: bool) -> Change | Keep:
    if kind == "bounced":
        return Change(Outcome.BOUNCED) if of_last_attempt else Keep(EARLIER_ATTEMPT)
    return Keep(CONFIRMED if kind == "delivered" else FAILED_AFTER_SUCCESS)
