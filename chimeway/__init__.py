"""Durable notifications and workflows on top of `jobs`. This release holds their records; the engine follows."""

from chimeway.models import (
    Attempt,
    Delivery,
    DeliveryStatus,
    Event,
    Notification,
    Outcome,
    Record,
    RunState,
    WorkflowRun,
)

__all__ = [
    "Attempt",
    "Delivery",
    "DeliveryStatus",
    "Event",
    "Notification",
    "Outcome",
    "Record",
    "RunState",
    "WorkflowRun",
]
