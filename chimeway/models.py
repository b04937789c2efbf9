"""The records of notifications and workflows, and the states they go through.

These are values: nothing here reads a clock, a database or the network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    DIGESTED = "digested"

    @property
    def terminal(self) -> bool:
        """True when nothing more will be sent of the delivery; one that failed for now is sent again."""
        return self not in {DeliveryStatus.PENDING, DeliveryStatus.DISPATCHED, DeliveryStatus.FAILED}


class Orchestration(StrEnum):
    """Whether a delivery may go, and what it waits for."""

    READY = "ready"
    #: Until a time: quiet hours.
    DEFERRED = "deferred"
    #: Until its digest goes out.
    DIGEST_HELD = "digest_held"
    #: Until a job has written its text.
    CONTENT_PENDING = "content_pending"


class Outcome(StrEnum):
    """How one attempt, or a delivery as a whole, came out."""

    DELIVERED = "delivered"
    SUPPRESSED = "suppressed"
    TEMPORARY_FAILURE = "temporary_failure"
    RETRIES_EXHAUSTED = "retries_exhausted"
    PERMANENT_FAILURE = "permanent_failure"
    BOUNCED = "bounced"
    CANCELLED = "cancelled"
    DIGESTED = "digested"


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
    #: `cancel(key=...)` takes back what has not gone out yet.
    cancellation_key: str | None = None
    category: str | None = None
    #: The parameters of the trigger, without what must not be kept.
    payload: Mapping[str, Any] = field(default_factory=dict, repr=False)
    #: What the notifier said of its deliveries.
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification(Record):
    """One recipient's share of an event."""

    notification_id: str
    event_id: str
    notification_key: str
    recipient_identity: str
    recipient_type: str
    created_at: datetime
    tenant_id: str = "default"
    #: Where each channel reaches the recipient.
    addresses: Mapping[str, str] = field(default_factory=dict, repr=False)
    #: What each channel, or each step of a workflow, says.
    contents: Mapping[str, Any] = field(default_factory=dict, repr=False)
    #: When the in-app channel showed it.
    inbox_at: datetime | None = None
    seen_at: datetime | None = None
    read_at: datetime | None = None
    archived_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery(Record):
    """One notification on one channel; it owns its state and its retries."""

    delivery_id: str
    notification_id: str
    event_id: str
    recipient_identity: str
    notification_key: str
    channel: str
    created_at: datetime
    updated_at: datetime
    status: DeliveryStatus = DeliveryStatus.PENDING
    orchestration_state: Orchestration = Orchestration.READY
    tenant_id: str = "default"
    category: str | None = None
    #: The workflow step that planned it; empty outside a workflow.
    step_key: str = ""
    run_id: str | None = None
    #: When a deferred one may go.
    eligible_at: datetime | None = None
    #: Why it stands where it stands, and facts that go with it.
    reason: str | None = None
    reason_context: Mapping[str, Any] | None = None
    #: Goes out whatever the recipient prefers.
    critical: bool = False
    #: Suppressed at the last moment if the notification was read by then.
    only_unread: bool = False
    #: Signals that suppress it at the last moment.
    cancel_on: Sequence[Mapping[str, Any]] | None = None
    throttle: Mapping[str, Any] | None = None
    max_attempts: int = 5
    attempt_count: int = 0
    next_attempt_at: datetime | None = None
    claim_token: str | None = None
    lease_until: datetime | None = None
    #: The job that is to deliver it.
    carrier_id: str | None = None
    digest_bucket_id: str | None = None
    #: The text that a model wrote for it.
    written: str | None = field(default=None, repr=False)
    #: How it came out; before the end only a temporary failure.
    outcome: Outcome | None = None
    adapter: str | None = None
    provider_message_id: str | None = None
    terminal_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt(Record):
    """One try to hand a delivery to its channel, or what the provider said of it later."""

    delivery_id: str
    #: From 1.
    attempt_number: int
    outcome: Outcome
    adapter: str
    started_at: datetime
    created_at: datetime
    #: `send`; `lost`: its worker died; `late`: it answered after its lease; `webhook`.
    source: str = "send"
    sequence: int = 0
    error_class: str | None = None
    #: What went wrong, in words.
    error: str | None = None
    provider_message_id: str | None = None
    provider_response: Mapping[str, Any] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowRun(Record):
    """One notification's way through a workflow."""

    run_id: str
    notification_id: str
    event_id: str
    recipient_identity: str
    definition_id: str
    workflow_key: str
    workflow_version: int
    current_step_key: str
    started_at: datetime
    step_started_at: datetime
    last_transition_at: datetime
    state: RunState = RunState.ACTIVE
    tenant_id: str = "default"
    #: Why it is in its state, and how it ended.
    reason: str | None = None
    #: When the wait gate it stands at opens, and the step that comes then; None when it does not wait.
    due_at: datetime | None = None
    wait_to: str | None = None
    #: Rises with each wait, so that what was meant for an earlier one cannot move it.
    wait_epoch: int = 0
    #: Rises with every transition: who has seen an older one changes nothing.
    revision: int = 0
    carrier_id: str | None = None
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal(Record):
    """Something a person did, as the application told it: `track`."""

    signal_id: str
    actor_id: str
    event_name: str
    occurred_at: datetime
    tenant_id: str = "default"
    payload: Mapping[str, Any] = field(default_factory=dict, repr=False)
    dedup_key: str | None = None
    processed_at: datetime | None = None
    result: Mapping[str, Any] | None = None
