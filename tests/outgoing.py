"""Messages for the tests of adapters."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from chimeway.content import Content
from chimeway.message import OutgoingMessage

MESSAGE = OutgoingMessage(
    delivery_id="d1",
    attempt=1,
    channel="email",
    tenant_id="default",
    notification_id="n1",
    notification_key="welcome",
    recipient_identity="ada",
    recipient_type="user",
    address="ada@example.com",
    content=Content(subject="Welcome, Ada!", text="Hello."),
    created_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
)


def outgoing(content: Content | None = None, **changes: Any) -> OutgoingMessage:
    return replace(MESSAGE, content=content or MESSAGE.content, **changes)
