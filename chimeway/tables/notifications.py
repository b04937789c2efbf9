"""Events, their notifications, and how each delivery goes."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Index,
    Integer,
    PrimaryKeyConstraint,
    String,
    Table,
    UniqueConstraint,
    text,
)

from chimeway.tables.columns import KEY, NAME, id_column, json_column, metadata, tenant_column
from jobs.sqltypes import SafeString, SafeText, UtcDateTime

#: What is not over, by which the sweep finds it; also said in the migration.
_OPEN = text("status IN ('pending', 'dispatched', 'failed')")
_UNPROCESSED = text("processed_at IS NULL")

events = Table(
    "chimeway_events",
    metadata,
    id_column(primary_key=True),
    tenant_column(),
    Column("notification_key", String(KEY), nullable=False),
    Column("notification_version", Integer, nullable=False),
    Column("idempotency_key", String(KEY), nullable=False),
    Column("correlation_id", String(KEY)),
    Column("cancellation_key", String(KEY)),
    Column("category", String(NAME)),
    # The parameters, without what must not be kept.
    json_column("payload", nullable=False),
    # What the notifier said of its deliveries, so that later steps need not ask it: see `planning.PlanOptions`.
    json_column("options", nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    UniqueConstraint("tenant_id", "idempotency_key"),
    Index(None, "correlation_id"),
    Index(None, "tenant_id", "cancellation_key"),
    Index(None, "tenant_id", "notification_key", "created_at"),
    Index(None, "created_at"),
)

#: Recipients of an event of many, a few hundred in a row, until a job has planned them.
fanouts = Table(
    "chimeway_fanouts",
    metadata,
    id_column("event_id", nullable=False),
    Column("chunk", Integer, nullable=False),
    json_column("recipients", nullable=False),
    id_column("carrier_id"),
    # Rises with each planning, which may leave some recipients.
    Column("revision", Integer, nullable=False),
    Column("planned_at", UtcDateTime),
    # Why it cannot be planned, in words; None while it can.
    Column("error", SafeText),
    PrimaryKeyConstraint("event_id", "chunk"),
    Index(
        "ix_chimeway_fanouts_unplanned",
        "event_id",
        sqlite_where=text("planned_at IS NULL"),
        postgresql_where=text("planned_at IS NULL"),
    ),
)

notifications = Table(
    "chimeway_notifications",
    metadata,
    id_column(primary_key=True),
    id_column("event_id", nullable=False),
    tenant_column(),
    Column("notification_key", String(KEY), nullable=False),
    Column("recipient_identity", String(KEY), nullable=False),
    Column("recipient_type", String(NAME), nullable=False),
    # Where each channel reaches the recipient.
    json_column("addresses", nullable=False),
    # What each channel or step says.
    json_column("contents", nullable=False),
    # When the in-app channel showed it.
    Column("inbox_at", UtcDateTime),
    Column("seen_at", UtcDateTime),
    Column("read_at", UtcDateTime),
    Column("archived_at", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
    UniqueConstraint("event_id", "recipient_identity"),
    Index("ix_chimeway_notifications_inbox", "tenant_id", "recipient_identity", "inbox_at"),
    Index("ix_chimeway_notifications_recipient", "tenant_id", "recipient_identity", "created_at"),
)

deliveries = Table(
    "chimeway_deliveries",
    metadata,
    id_column(primary_key=True),
    id_column("notification_id", nullable=False),
    id_column("event_id", nullable=False),
    tenant_column(),
    Column("recipient_identity", String(KEY), nullable=False),
    Column("notification_key", String(KEY), nullable=False),
    Column("category", String(NAME)),
    Column("channel", String(NAME), nullable=False),
    # The workflow's step that planned it; empty outside a workflow.
    Column("step_key", String(NAME), nullable=False),
    id_column("run_id"),
    Column("status", String(16), nullable=False),
    # `ready`, or what it waits for: `deferred`, `digest_held`, `content_pending`.
    Column("orchestration_state", String(16), nullable=False),
    # When a deferred one may go.
    Column("eligible_at", UtcDateTime),
    # Why it stands where it stands: a word of `Reason`, and facts that go with it.
    Column("reason", String(NAME)),
    json_column("reason_context"),
    # Goes out whatever the recipient prefers.
    Column("critical", Boolean, nullable=False),
    # Suppressed at the last moment if the notification was read by then.
    Column("only_unread", Boolean, nullable=False),
    # Signals that suppress it at the last moment: `[{"event": ..., "match": {...}}]`.
    json_column("cancel_on"),
    json_column("throttle"),
    Column("max_attempts", Integer, nullable=False),
    Column("attempt_count", Integer, nullable=False),
    Column("next_attempt_at", UtcDateTime),
    # The claim of the attempt that runs.
    id_column("claim_token"),
    Column("lease_until", UtcDateTime),
    # The job that is to deliver it; None: the process that triggered it does, or the sweep.
    id_column("carrier_id"),
    id_column("digest_bucket_id"),
    # The text that a model wrote for it.
    Column("written", SafeText),
    # How it came out; None until it is over, but for a temporary failure.
    Column("outcome", String(32)),
    Column("adapter", String(NAME)),
    Column("provider_message_id", SafeString(KEY)),
    Column("terminal_at", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    UniqueConstraint("notification_id", "channel", "step_key"),
    Index(
        "ix_chimeway_deliveries_open", "status", "next_attempt_at", sqlite_where=_OPEN, postgresql_where=_OPEN
    ),
    Index(None, "event_id"),
    Index(None, "run_id"),
    Index("ix_chimeway_deliveries_recipient", "tenant_id", "recipient_identity", "channel", "created_at"),
    Index(None, "digest_bucket_id"),
    Index(None, "provider_message_id"),
    Index(None, "created_at"),
)

#: Append-only. `source`: `send`, `lost` (its worker died), `late` (it came back after its lease), `webhook`.
attempts = Table(
    "chimeway_attempts",
    metadata,
    id_column("delivery_id", nullable=False),
    Column("attempt_number", Integer, nullable=False),
    Column("source", String(16), nullable=False),
    # Tells several messages of a provider about one attempt apart; 0 for all else.
    Column("sequence", Integer, nullable=False),
    Column("outcome", String(32), nullable=False),
    # `temporary`, `permanent`, `bounced`, `unknown`, `timeout`, `lease_expired`.
    Column("error_class", String(32)),
    Column("error", SafeText),
    Column("adapter", String(NAME), nullable=False),
    Column("provider_message_id", SafeString(KEY)),
    json_column("provider_response"),
    Column("started_at", UtcDateTime, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("delivery_id", "attempt_number", "source", "sequence"),
    Index(None, "adapter", "provider_message_id"),
)

#: What providers said later about deliveries, as their webhooks brought it.
feedback = Table(
    "chimeway_feedback",
    metadata,
    id_column(primary_key=True),
    Column("adapter", String(NAME), nullable=False),
    Column("provider_event_id", String(KEY)),
    id_column("delivery_id"),
    Column("provider_message_id", SafeString(KEY)),
    # `delivered`, `bounced`, `failed`.
    Column("kind", String(16), nullable=False),
    # `queued`, `processed`, `ignored`.
    Column("state", String(16), nullable=False),
    Column("reason", String(KEY)),
    json_column("detail"),
    id_column("carrier_id"),
    Column("received_at", UtcDateTime, nullable=False),
    Column("processed_at", UtcDateTime),
    UniqueConstraint("adapter", "provider_event_id"),
    Index(
        "ix_chimeway_feedback_queued", "received_at", sqlite_where=_UNPROCESSED, postgresql_where=_UNPROCESSED
    ),
)
