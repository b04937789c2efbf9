"""Events, their notifications, and how each delivery goes."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from jobs.sqltypes import SafeString, SafeText, UtcDateTime

revision = "chimeway_0001"
down_revision = None
branch_labels = None
depends_on = None

_JSON = sa.JSON(none_as_null=True)

#: Name, table, columns and condition of each index.
_INDEXES: tuple[tuple[str, str, list[str], str | None], ...] = (
    ("ix_chimeway_events_correlation_id", "chimeway_events", ["correlation_id"], None),
    ("ix_chimeway_events_created_at", "chimeway_events", ["created_at"], None),
    (
        "ix_chimeway_events_tenant_id_cancellation_key",
        "chimeway_events",
        ["tenant_id", "cancellation_key"],
        None,
    ),
    (
        "ix_chimeway_events_tenant_id_notification_key_created_at",
        "chimeway_events",
        ["tenant_id", "notification_key", "created_at"],
        None,
    ),
    ("ix_chimeway_fanouts_unplanned", "chimeway_fanouts", ["event_id"], "planned_at IS NULL"),
    (
        "ix_chimeway_notifications_inbox",
        "chimeway_notifications",
        ["tenant_id", "recipient_identity", "inbox_at"],
        None,
    ),
    (
        "ix_chimeway_notifications_recipient",
        "chimeway_notifications",
        ["tenant_id", "recipient_identity", "created_at"],
        None,
    ),
    ("ix_chimeway_deliveries_created_at", "chimeway_deliveries", ["created_at"], None),
    ("ix_chimeway_deliveries_digest_bucket_id", "chimeway_deliveries", ["digest_bucket_id"], None),
    ("ix_chimeway_deliveries_event_id", "chimeway_deliveries", ["event_id"], None),
    (
        "ix_chimeway_deliveries_open",
        "chimeway_deliveries",
        ["status", "next_attempt_at"],
        "status IN ('pending', 'dispatched', 'failed')",
    ),
    ("ix_chimeway_deliveries_provider_message_id", "chimeway_deliveries", ["provider_message_id"], None),
    (
        "ix_chimeway_deliveries_recipient",
        "chimeway_deliveries",
        ["tenant_id", "recipient_identity", "channel", "created_at"],
        None,
    ),
    ("ix_chimeway_deliveries_run_id", "chimeway_deliveries", ["run_id"], None),
    (
        "ix_chimeway_attempts_adapter_provider_message_id",
        "chimeway_attempts",
        ["adapter", "provider_message_id"],
        None,
    ),
    ("ix_chimeway_feedback_queued", "chimeway_feedback", ["received_at"], "processed_at IS NULL"),
)


def upgrade() -> None:
    """Make the tables."""
    for make in _TABLES:
        op.create_table(f"chimeway{make.__name__}", *make())
    for name, table, columns, where in _INDEXES:
        partial: dict[str, Any] = {}
        if where is not None:
            partial = {"sqlite_where": sa.text(where), "postgresql_where": sa.text(where)}
        op.create_index(name, table, columns, **partial)


def downgrade() -> None:
    """Drop them."""
    for make in reversed(_TABLES):
        op.drop_table(f"chimeway{make.__name__}")


def _events() -> list[Any]:
    return [
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("tenant_id", sa.String(100), nullable=False),
        sa.Column("notification_key", sa.String(255), nullable=False),
        sa.Column("notification_version", sa.Integer, nullable=False),
        sa.Column("idempotency_key", sa.String(255), nullable=False),
        sa.Column("correlation_id", sa.String(255)),
        sa.Column("cancellation_key", sa.String(255)),
        sa.Column("category", sa.String(100)),
        sa.Column("payload", _JSON, nullable=False),
        sa.Column("options", _JSON, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.UniqueConstraint(
            "tenant_id", "idempotency_key", name="uq_chimeway_events_tenant_id_idempotency_key"
        ),
    ]


def _fanouts() -> list[Any]:
    return [
        sa.Column("event_id", sa.String(32), nullable=False),
        sa.Column("chunk", sa.Integer, nullable=False),
        sa.Column("recipients", _JSON, nullable=False),
        sa.Column("carrier_id", sa.String(32)),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("planned_at", UtcDateTime),
        sa.Column("error", SafeText),
        sa.PrimaryKeyConstraint("event_id", "chunk", name="pk_chimeway_fanouts"),
    ]


def _notifications() -> list[Any]:
    return [
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("event_id", sa.String(32), nullable=False),
        sa.Column("tenant_id", sa.String(100), nullable=False),
        sa.Column("notification_key", sa.String(255), nullable=False),
        sa.Column("recipient_identity", sa.String(255), nullable=False),
        sa.Column("recipient_type", sa.String(100), nullable=False),
        sa.Column("addresses", _JSON, nullable=False),
        sa.Column("contents", _JSON, nullable=False),
        sa.Column("inbox_at", UtcDateTime),
        sa.Column("seen_at", UtcDateTime),
        sa.Column("read_at", UtcDateTime),
        sa.Column("archived_at", UtcDateTime),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.UniqueConstraint(
            "event_id", "recipient_identity", name="uq_chimeway_notifications_event_id_recipient_identity"
        ),
    ]


def _deliveries() -> list[Any]:
    return [*_delivery_facts(), *_delivery_state()]


def _delivery_facts() -> list[Any]:
    return [
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("notification_id", sa.String(32), nullable=False),
        sa.Column("event_id", sa.String(32), nullable=False),
        sa.Column("tenant_id", sa.String(100), nullable=False),
        sa.Column("recipient_identity", sa.String(255), nullable=False),
        sa.Column("notification_key", sa.String(255), nullable=False),
        sa.Column("category", sa.String(100)),
        sa.Column("channel", sa.String(100), nullable=False),
        sa.Column("step_key", sa.String(100), nullable=False),
        sa.Column("run_id", sa.String(32)),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("orchestration_state", sa.String(16), nullable=False),
        sa.Column("eligible_at", UtcDateTime),
        sa.Column("reason", sa.String(100)),
        sa.Column("reason_context", _JSON),
        sa.Column("critical", sa.Boolean, nullable=False),
    ]


def _delivery_state() -> list[Any]:
    return [
        sa.Column("only_unread", sa.Boolean, nullable=False),
        sa.Column("cancel_on", _JSON),
        sa.Column("throttle", _JSON),
        sa.Column("max_attempts", sa.Integer, nullable=False),
        sa.Column("attempt_count", sa.Integer, nullable=False),
        sa.Column("next_attempt_at", UtcDateTime),
        sa.Column("claim_token", sa.String(32)),
        sa.Column("lease_until", UtcDateTime),
        sa.Column("carrier_id", sa.String(32)),
        sa.Column("digest_bucket_id", sa.String(32)),
        sa.Column("written", SafeText),
        sa.Column("outcome", sa.String(32)),
        sa.Column("adapter", sa.String(100)),
        sa.Column("provider_message_id", SafeString(255)),
        sa.Column("terminal_at", UtcDateTime),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("updated_at", UtcDateTime, nullable=False),
        sa.UniqueConstraint(
            "notification_id",
            "channel",
            "step_key",
            name="uq_chimeway_deliveries_notification_id_channel_step_key",
        ),
    ]


def _attempts() -> list[Any]:
    return [
        sa.Column("delivery_id", sa.String(32), nullable=False),
        sa.Column("attempt_number", sa.Integer, nullable=False),
        sa.Column("source", sa.String(16), nullable=False),
        sa.Column("sequence", sa.Integer, nullable=False),
        sa.Column("outcome", sa.String(32), nullable=False),
        sa.Column("error_class", sa.String(32)),
        sa.Column("error", SafeText),
        sa.Column("adapter", sa.String(100), nullable=False),
        sa.Column("provider_message_id", SafeString(255)),
        sa.Column("provider_response", _JSON),
        sa.Column("started_at", UtcDateTime, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint(
            "delivery_id", "attempt_number", "source", "sequence", name="pk_chimeway_attempts"
        ),
    ]


def _feedback() -> list[Any]:
    return [
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("adapter", sa.String(100), nullable=False),
        sa.Column("provider_event_id", sa.String(255)),
        sa.Column("delivery_id", sa.String(32)),
        sa.Column("provider_message_id", SafeString(255)),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(255)),
        sa.Column("detail", _JSON),
        sa.Column("carrier_id", sa.String(32)),
        sa.Column("received_at", UtcDateTime, nullable=False),
        sa.Column("processed_at", UtcDateTime),
        sa.UniqueConstraint(
            "adapter", "provider_event_id", name="uq_chimeway_feedback_adapter_provider_event_id"
        ),
    ]


_TABLES = (_events, _fanouts, _notifications, _deliveries, _attempts, _feedback)
