"""The seam every channel stands at: one message in, a receipt out, or an error that says whether to try again."""

from __future__ import annotations

import re
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from aquila.errors import ConfigError
from chimeway.errors import TemporaryFailure
from chimeway.message import OutgoingMessage, Receipt

#: What a row keeps as an adapter's name.
ADAPTER_NAME = re.compile(r"[a-z][a-z0-9_.-]{0,99}")
#: The longest pause between two attempts that a provider is granted, in seconds.
LONGEST_RETRY_AFTER = 3600.0

FeedbackKind: TypeAlias = Literal["delivered", "bounced", "failed"]


@runtime_checkable
class Adapter(Protocol):
    """Brings messages to a channel. `deliver` is called in a thread, or if it is `async`, in the event loop.

    It may be called from several threads or tasks at once, an asynchronous one in several event loops, and more than once for a delivery: after a crash nobody knows
    whether a message had gone out. `message.delivery_id` is the same in every attempt, so a provider that knows idempotency
    keys is given it as one.

    It may also have:

    - `needs_address = True`: a recipient without an address is not sent to, and the delivery is suppressed as `no_address`;
    - `verify_feedback(headers, body, now) -> list[ProviderFeedback]`, which reads what the provider posts about messages it
      took, and raises FeedbackRefused where its signature does not fit.
    """

    @property
    def name(self) -> str:
        """What attempts and explanations call it; small letters, digits, `_`, `-` and `.`."""

    def deliver(self, message: OutgoingMessage) -> Receipt | Awaitable[Receipt]:
        """Hand a message over.

        Raises:
            TemporaryFailure: It may be taken later. Anything that is no DeliveryError counts as this.
            Unanswered: It was handed over and no answer came, so it may have been taken. TimeoutError counts as this.
            PermanentFailure: No other attempt helps.
            Bounced: The address does not exist or does not take it.
        """


class Unanswered(TemporaryFailure):
    """The message was handed over, and no answer came: it may have been taken.

    It is tried again later, and by the same adapter: another one would send it twice for certain.
    """

    error_class = "timeout"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderFeedback:
    """What a provider says of a message after it took it."""

    #: What the provider calls this piece of news; the same one twice counts once.
    provider_event_id: str
    kind: FeedbackKind
    #: What the provider calls the message, as in the receipt.
    provider_message_id: str | None = None
    #: The delivery, if the provider gives back what it was sent.
    delivery_id: str | None = None
    #: The provider's words, without secrets.
    detail: str | None = None


def check_name(name: str) -> str:
    """Give an adapter's name back if a row can keep it.

    Raises:
        ConfigError: It cannot.
    """
    if not isinstance(name, str) or not ADAPTER_NAME.fullmatch(name):
        raise ConfigError(
            f"the adapter's name {name!r} must be up to 100 small letters, digits, '_', '-' and '.', and begin with a letter"
        )
    return name


def name_of(adapter: Adapter) -> str:
    """Give an adapter's name as rows keep it, also where it is one that they cannot keep."""
    try:
        return check_name(adapter.name)
    except Exception:  # noqa: BLE001 - a property of somebody's own may raise what it likes
        return "unnamed"
