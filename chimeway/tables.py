"""The tables. The rows own every state; jobs only carry ids to where the work is done."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    UniqueConstraint,
    text,
)

from jobs.sqltypes import SafeString, SafeText, UtcDateTime

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    },
)

#: Characters of ids, of keys that a host gives, and of names.
_ID, _KEY, _NAME = 32, 255, 100


def _id(name: str = "id", **options: Any) -> Column[str]:
    return Column(name, String(_ID), **options)


def _tenant() -> Column[str]:
    return Column("tenant_id", String(_NAME), nullable=False)


def _json(name: str, **options: Any) -> Column[Any]:
    return Column(name, JSON(none_as_null=True), **options)


#: What is not over, by which the sweep finds it; also said in the migration.
_OPEN = text("status IN ('pending', 'dispatched', 'failed')")
_WAITING = text("state = 'waiting'")
_UNPROCESSED = text("processed_at IS NULL")

events = Table(
    "chimeway_events",
    metadata,
    _id(primary_key=True),
    _tenant(),
    Column("notification_key", String(_KEY), nullable=False),
    Column("notification_version", Integer, nullable=False),
    Column("idempotency_key", String(_KEY), nullable=False),
    Column("correlation_id", String(_KEY)),
    Column("cancellation_key", String(_KEY)),
    Column("category", String(_NAME)),
    # The parameters, without what must not be kept.
    _json("payload", nullable=False),
    # What the notifier said of its deliveries, so that later steps need not ask it: see `planning.PlanOptions`.
    _json("options", nullable=False),
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
    _id("event_id", nullable=False),
    Column("chunk", Integer, nullable=False),
    _json("recipients", nullable=False),
    _id("carrier_id"),
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
    _id(primary_key=True),
    _id("event_id", nullable=False),
    _tenant(),
    Column("notification_key", String(_KEY), nullable=False),
    Column("recipient_identity", String(_KEY), nullable=False),
    Column("recipient_type", String(_NAME), nullable=False),
    # Where each channel reaches the recipient.
    _json("addresses", nullable=False),
    # What each channel or step says.
    _json("contents", nullable=False),
    # When the in-app channel showed it.
    Column("inbox_at", UtcDateTime),
    Column("seen_at", UtcDateTime),
    Column("read_at", UtcDateTime),
    Column("archived_at", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
    UniqueConstraint("event_id", "recipient_identity"),
    Index(None, "tenant_id", "recipient_identity", "inbox_at"),
    Index(None, "tenant_id", "recipient_identity", "created_at"),
)

deliveries = Table(
    "chimeway_deliveries",
    metadata,
    _id(primary_key=True),
    _id("notification_id", nullable=False),
    _id("event_id", nullable=False),
    _tenant(),
    Column("recipient_identity", String(_KEY), nullable=False),
    Column("notification_key", String(_KEY), nullable=False),
    Column("category", String(_NAME)),
    Column("channel", String(_NAME), nullable=False),
    # The workflow's step that planned it; empty outside a workflow.
    Column("step_key", String(_NAME), nullable=False),
    _id("run_id"),
    Column("status", String(16), nullable=False),
    # `ready`, or what it waits for: `deferred`, `digest_held`, `content_pending`.
    Column("orchestration_state", String(16), nullable=False),
    # When a deferred one may go.
    Column("eligible_at", UtcDateTime),
    # Why it stands where it stands: a word of `Reason`, and facts that go with it.
    Column("reason", String(_NAME)),
    _json("reason_context"),
    # Goes out whatever the recipient prefers.
    Column("critical", Boolean, nullable=False),
    # Suppressed at the last moment if the notification was read by then.
    Column("only_unread", Boolean, nullable=False),
    # Signals that suppress it at the last moment: `[{"event": ..., "match": {...}}]`.
    _json("cancel_on"),
    _json("throttle"),
    Column("max_attempts", Integer, nullable=False),
    Column("attempt_count", Integer, nullable=False),
    Column("next_attempt_at", UtcDateTime),
    # The claim of the attempt that runs.
    _id("claim_token"),
    Column("lease_until", UtcDateTime),
    # The job that is to deliver it; None: the process that triggered it does, or the sweep.
    _id("carrier_id"),
    _id("digest_bucket_id"),
    # The text that a model wrote for it.
    Column("written", SafeText),
    # How it came out; None until it is over, but for a temporary failure.
    Column("outcome", String(32)),
    Column("adapter", String(_NAME)),
    Column("provider_message_id", SafeString(_KEY)),
    Column("terminal_at", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    UniqueConstraint("notification_id", "channel", "step_key"),
    Index(
        "ix_chimeway_deliveries_open", "status", "next_attempt_at", sqlite_where=_OPEN, postgresql_where=_OPEN
    ),
    Index(None, "event_id"),
    Index(None, "run_id"),
    Index(None, "tenant_id", "recipient_identity", "channel", "created_at"),
    Index(None, "digest_bucket_id"),
    Index(None, "provider_message_id"),
    Index(None, "created_at"),
)

#: Append-only. `source`: `send`, `lost` (its worker died), `late` (it came back after its lease), `webhook`.
attempts = Table(
    "chimeway_attempts",
    metadata,
    _id("delivery_id", nullable=False),
    Column("attempt_number", Integer, nullable=False),
    Column("source", String(16), nullable=False),
    # Tells several messages of a provider about one attempt apart; 0 for all else.
    Column("sequence", Integer, nullable=False),
    Column("outcome", String(32), nullable=False),
    # `temporary`, `permanent`, `bounced`, `unknown`, `timeout`, `lease_expired`.
    Column("error_class", String(32)),
    Column("error", SafeText),
    Column("adapter", String(_NAME), nullable=False),
    Column("provider_message_id", SafeString(_KEY)),
    _json("provider_response"),
    Column("started_at", UtcDateTime, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("delivery_id", "attempt_number", "source", "sequence"),
    Index(None, "adapter", "provider_message_id"),
)

definitions = Table(
    "chimeway_workflow_definitions",
    metadata,
    _id(primary_key=True),
    Column("workflow_key", String(_KEY), nullable=False),
    Column("workflow_version", Integer, nullable=False),
    _json("steps", nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    UniqueConstraint("workflow_key", "workflow_version"),
)

runs = Table(
    "chimeway_workflow_runs",
    metadata,
    _id(primary_key=True),
    _tenant(),
    _id("notification_id", nullable=False),
    _id("event_id", nullable=False),
    Column("recipient_identity", String(_KEY), nullable=False),
    _id("definition_id", nullable=False),
    Column("workflow_key", String(_KEY), nullable=False),
    Column("workflow_version", Integer, nullable=False),
    Column("current_step_key", String(_NAME), nullable=False),
    Column("state", String(16), nullable=False),
    # Why it is in its state, and how it ended.
    Column("reason", String(_KEY)),
    # When the wait gate opens, and what comes then.
    Column("due_at", UtcDateTime),
    Column("wait_to", String(_NAME)),
    Column("wait_epoch", Integer, nullable=False),
    # Rises with every transition: who has seen an older one changes nothing.
    Column("revision", Integer, nullable=False),
    # When the current step began.
    Column("step_started_at", UtcDateTime, nullable=False),
    _id("carrier_id"),
    Column("started_at", UtcDateTime, nullable=False),
    Column("last_transition_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    UniqueConstraint("notification_id"),
    Index("ix_chimeway_workflow_runs_due", "due_at", sqlite_where=_WAITING, postgresql_where=_WAITING),
    Index(None, "state", "last_transition_at"),
    Index(None, "event_id"),
    Index(None, "tenant_id", "recipient_identity"),
)

#: Signals that the wait gate of a run listens to.
run_waits = Table(
    "chimeway_run_waits",
    metadata,
    _id("run_id", nullable=False),
    Column("event_name", String(_NAME), nullable=False),
    _tenant(),
    Column("actor_id", String(_KEY), nullable=False),
    Column("wait_epoch", Integer, nullable=False),
    PrimaryKeyConstraint("run_id", "event_name"),
    Index(None, "tenant_id", "actor_id", "event_name"),
)

#: Append-only: the run's history.
transitions = Table(
    "chimeway_transitions",
    metadata,
    _id("run_id", nullable=False),
    # The run's revision after it.
    Column("seq", Integer, nullable=False),
    Column("from_state", String(16)),
    Column("to_state", String(16), nullable=False),
    Column("step_key", String(_NAME), nullable=False),
    Column("reason", String(_KEY), nullable=False),
    _id("delivery_id"),
    _id("signal_id"),
    _json("context"),
    Column("created_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("run_id", "seq"),
    Index(None, "signal_id"),
)

#: What LLM steps of runs wrote.
step_outputs = Table(
    "chimeway_step_outputs",
    metadata,
    _id("run_id", nullable=False),
    Column("step_key", String(_NAME), nullable=False),
    # `pending`, `written`, `failed`.
    Column("state", String(16), nullable=False),
    _id("carrier_id"),
    Column("output", SafeText),
    Column("error", SafeText),
    Column("created_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    PrimaryKeyConstraint("run_id", "step_key"),
)

signals = Table(
    "chimeway_signals",
    metadata,
    _id(primary_key=True),
    _tenant(),
    Column("actor_id", String(_KEY), nullable=False),
    Column("event_name", String(_NAME), nullable=False),
    _json("payload", nullable=False),
    Column("dedup_key", String(_KEY)),
    Column("occurred_at", UtcDateTime, nullable=False),
    _id("carrier_id"),
    Column("processed_at", UtcDateTime),
    # What came of it: `{"runs": {run_id: reason}}`.
    _json("result"),
    UniqueConstraint("tenant_id", "dedup_key"),
    Index(None, "tenant_id", "actor_id", "event_name", "occurred_at"),
    Index(
        "ix_chimeway_signals_unprocessed",
        "occurred_at",
        sqlite_where=_UNPROCESSED,
        postgresql_where=_UNPROCESSED,
    ),
    Index(None, "occurred_at"),
)

#: What recipients want. `scope` is `channel` (of one notification key, or of all: empty) or `category`. No row: yes.
preferences = Table(
    "chimeway_preferences",
    metadata,
    _tenant(),
    Column("recipient_identity", String(_KEY), nullable=False),
    Column("scope", String(16), nullable=False),
    # A notification key for `channel`, a category for `category`; empty means every one.
    Column("subject", String(_KEY), nullable=False),
    # Empty means every channel.
    Column("channel", String(_NAME), nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("tenant_id", "recipient_identity", "scope", "subject", "channel"),
)

recipient_settings = Table(
    "chimeway_recipient_settings",
    metadata,
    _tenant(),
    Column("recipient_identity", String(_KEY), nullable=False),
    # Minutes from midnight on the recipient's clock; the end is not part of the quiet time.
    Column("quiet_start", Integer),
    Column("quiet_end", Integer),
    Column("time_zone", String(_NAME)),
    # At most so many deliveries within so many seconds.
    Column("cap_count", Integer),
    Column("cap_seconds", Integer),
    Column("updated_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("tenant_id", "recipient_identity"),
)

#: Deliveries that are held to go out as one. They say so in `digest_bucket_id`.
digest_buckets = Table(
    "chimeway_digest_buckets",
    metadata,
    _id(primary_key=True),
    _tenant(),
    Column("recipient_identity", String(_KEY), nullable=False),
    Column("notification_key", String(_KEY), nullable=False),
    Column("channel", String(_NAME), nullable=False),
    Column("group_key", String(_KEY), nullable=False),
    Column("window_start", UtcDateTime, nullable=False),
    Column("due_at", UtcDateTime, nullable=False),
    # What the digest says: `{"subject": ..., "instructions": ...}`.
    _json("options", nullable=False),
    _id("carrier_id"),
    Column("flushed_at", UtcDateTime),
    # The delivery that carries the digest.
    _id("delivery_id"),
    UniqueConstraint(
        "tenant_id", "recipient_identity", "notification_key", "channel", "group_key", "window_start"
    ),
    Index(
        "ix_chimeway_digest_buckets_due",
        "due_at",
        sqlite_where=text("flushed_at IS NULL"),
        postgresql_where=text("flushed_at IS NULL"),
    ),
)

#: What providers said later about deliveries, as their webhooks brought it.
feedback = Table(
    "chimeway_feedback",
    metadata,
    _id(primary_key=True),
    Column("adapter", String(_NAME), nullable=False),
    Column("provider_event_id", String(_KEY)),
    _id("delivery_id"),
    Column("provider_message_id", SafeString(_KEY)),
    # `delivered`, `bounced`, `failed`.
    Column("kind", String(16), nullable=False),
    # `queued`, `processed`, `ignored`.
    Column("state", String(16), nullable=False),
    Column("reason", String(_KEY)),
    _json("detail"),
    _id("carrier_id"),
    Column("received_at", UtcDateTime, nullable=False),
    Column("processed_at", UtcDateTime),
    UniqueConstraint("adapter", "provider_event_id"),
    Index(
        "ix_chimeway_feedback_queued", "received_at", sqlite_where=_UNPROCESSED, postgresql_where=_UNPROCESSED
    ),
)
