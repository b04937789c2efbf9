from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

import pytest

from chimeway import Delivery, DeliveryStatus, Notification

NOW = datetime(2026, 11, 24, tzinfo=UTC)
PENDING = Delivery(
    delivery_id="d",
    notification_id="n",
    event_id="e",
    recipient_identity="ada",
    notification_key="welcome",
    channel="email",
    created_at=NOW,
    updated_at=NOW,
    written="plum",
)


def test_a_record_changes_only_by_making_another() -> None:
    assert PENDING.evolve(status=DeliveryStatus.SUCCEEDED).status == "succeeded"
    with pytest.raises(dataclasses.FrozenInstanceError):
        PENDING.status = DeliveryStatus.FAILED  # type: ignore[misc]


def test_a_delivery_is_over_once_nothing_more_will_be_sent() -> None:
    open_ones = [status.value for status in DeliveryStatus if not status.terminal]
    assert open_ones == ["pending", "dispatched", "failed"]


def test_what_it_says_and_to_whom_is_not_in_the_text_of_a_record() -> None:
    told = Notification(
        notification_id="n",
        event_id="e",
        notification_key="welcome",
        recipient_identity="ada",
        recipient_type="user",
        created_at=NOW,
        addresses={"email": "plum@example.com"},
        contents={"email": {"text": "plum"}},
    )
    assert "plum" not in repr((told, PENDING))
