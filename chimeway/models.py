"""The records of notifications and workflows, and the states they go through.

These are values: nothing here reads a clock, a database or the network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Self


class DeliveryStatus(StrEnum):
    """Where a delivery stands."""

    PENDING = "pending"
    DISPATCHED = "dispatched"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SUPPRESSED = "suppressed"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        """True when nothing more will happen to the delivery."""
        return self not in {DeliveryStatus.PENDING, DeliveryStatus.DISPATCHED}


class Outcome(StrEnum):
    """How one attempt, or a delivery as a whole, came out."""

    DELIVERED = "delivered"
    SUPPRESSED = "suppressed"
    TEMPORARY_FAILURE = "temporary_failure"
    RETRIES_EXHAUSTED = "retries_exhausted"
    PERMANENT_FAILURE = "permanent_failure"
    BOUNCED = "bounced"


class RunState(StrEnum):
    """Where a workflow run stands."""

    ACTIVE = "active"
    WAITING = "waiting"
    COMPLETED = "completed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What every record can do."""

    def evolve(self, **changes: Any) -> Self:
        """Copy the record with some fields changed."""
        return replace(self, **changes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event(Record):
    """Something happened that people are to be told of; triggered once for each idempotency key."""

    event_id: str
    notification_key: str
    notification_version: int
    idempotency_key: str
    created_at: datetime
    tenant_id: str = "default"
    correlation_id: str | None = None
    payload: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification(Record):
    """One recipient's share of an event."""

    notification_id: str
    event_id: str
    recipient_identity: str
    recipient_type: str
    created_at: datetime
    tenant_id: str = "default"
    assigns: Mapping[str, Any] = field(default_factory=dict)
    seen_at: datetime | None = None
    read_at: datetime | None = None
    archived_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery(Record):
    """One notification on one channel; it owns its state and its retries."""

    delivery_id: str
    notification_id: str
    channel: str
    status: DeliveryStatus = DeliveryStatus.PENDING
    tenant_id: str = "default"
    #: The workflow step that planned it; empty outside a workflow.
    step_key: str = ""
    attempt_count: int = 0
    next_attempt_at: datetime | None = None
    terminal_at: datetime | None = None
    suppression_reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt(Record):
    """One try to hand a delivery to its channel."""

    delivery_id: str
    #: From 1.
    attempt_number: int
    outcome: Outcome
    adapter: str
    started_at: datetime
    error_class: str | None = None
    provider_message_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowRun(Record):
    """One notification's way through a workflow."""

    run_id: str
    notification_id: str
    workflow_key: str
    workflow_version: int
    current_step_key: str
    started_at: datetime
    state: RunState = RunState.ACTIVE
    tenant_id: str = "default"
    #: When the wait gate it stands at opens; None when it does not wait.
    due_at: datetime | None = None
    #: Rises with each wait, so that what was meant for an earlier one cannot move it.
    wait_epoch: int = 0
