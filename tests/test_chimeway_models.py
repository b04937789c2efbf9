from __future__ import annotations

import dataclasses

import pytest

from chimeway import Delivery, DeliveryStatus

PENDING = Delivery(delivery_id="d", notification_id="n", channel="email")


def test_a_record_changes_only_by_making_another() -> None:
    assert PENDING.evolve(status=DeliveryStatus.SUCCEEDED).status == "succeeded"
    with pytest.raises(dataclasses.FrozenInstanceError):
        PENDING.status = DeliveryStatus.FAILED  # type: ignore[misc]


def test_a_delivery_is_over_once_it_is_neither_pending_nor_dispatched() -> None:
    assert [status.value for status in DeliveryStatus if not status.terminal] == ["pending", "dispatched"]
