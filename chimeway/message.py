"""What an adapter is handed, and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from chimeway.content import Content


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingMessage:
    """One attempt of a delivery, as its adapter is handed it."""

    #: The same in every attempt: what a provider that knows idempotency keys is given.
    delivery_id: str
    #: From 1.
    attempt: int
    channel: str
    tenant_id: str
    notification_id: str
    notification_key: str
    recipient_identity: str
    recipient_type: str
    #: Where the channel reaches the recipient; None if nobody knows.
    address: str | None = field(repr=False)
    content: Content = field(repr=False)
    created_at: datetime
    correlation_id: str | None = None
    category: str | None = None

    @property
    def idempotency_key(self) -> str:
        """What a provider that knows such keys is given: the delivery's id."""
        return self.delivery_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What an adapter gives back when the channel took the message."""

    #: What the provider calls it; later feedback is found by it.
    provider_message_id: str | None = None
    #: What the provider answered, as JSON values without secrets.
    response: Mapping[str, Any] = field(default_factory=dict)
