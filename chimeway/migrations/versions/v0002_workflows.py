"""Workflows and their runs, signals, what recipients want, and digests."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from jobs.sqltypes import SafeText, UtcDateTime

revision = "chimeway_0002"
down_revision = "chimeway_0001"
branch_labels = None
depends_on = None

_JSON = sa.JSON(none_as_null=True)

#: Name, table, columns and condition of each index.
_INDEXES: tuple[tuple[str, str, list[str], str | None], ...] = (
    ("ix_chimeway_workflow_runs_due", "chimeway_workflow_runs", ["due_at"], "state = 'waiting'"),
    ("ix_chimeway_workflow_runs_event_id", "chimeway_workflow_runs", ["event_id"], None),
    (
        "ix_chimeway_workflow_runs_state_last_transition_at",
        "chimeway_workflow_runs",
        ["state", "last_transition_at"],
        None,
    ),
    (
        "ix_chimeway_workflow_runs_tenant_id_recipient_identity",
        "chimeway_workflow_runs",
        ["tenant_id", "recipient_identity"],
        None,
    ),
    (
        "ix_chimeway_run_waits_tenant_id_actor_id_event_name",
        "chimeway_run_waits",
        ["tenant_id", "actor_id", "event_name"],
        None,
    ),
    ("ix_chimeway_transitions_signal_id", "chimeway_transitions", ["signal_id"], None),
    (
        "ix_chimeway_signals_actor",
        "chimeway_signals",
        ["tenant_id", "actor_id", "event_name", "occurred_at"],
        None,
    ),
    ("ix_chimeway_signals_occurred_at", "chimeway_signals", ["occurred_at"], None),
    ("ix_chimeway_signals_unprocessed", "chimeway_signals", ["occurred_at"], "processed_at IS NULL"),
    ("ix_chimeway_digest_buckets_due", "chimeway_digest_buckets", ["due_at"], "flushed_at IS NULL"),
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


def _workflow_definitions() -> list[Any]:
    return [
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("workflow_key", sa.String(255), nullable=False),
        sa.Column("workflow_version", sa.Integer, nullable=False),
        sa.Column("steps", _JSON, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.UniqueConstraint(
            "workflow_key", "workflow_version", name="uq_chimeway_workflow_definitions_version"
        ),
    ]


def _workflow_runs() -> list[Any]:
    return [
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("tenant_id", sa.String(100), nullable=False),
        sa.Column("notification_id", sa.String(32), nullable=False),
        sa.Column("event_id", sa.String(32), nullable=False),
        sa.Column("recipient_identity", sa.String(255), nullable=False),
        sa.Column("definition_id", sa.String(32), nullable=False),
        sa.Column("workflow_key", sa.String(255), nullable=False),
        sa.Column("workflow_version", sa.Integer, nullable=False),
        sa.Column("current_step_key", sa.String(100), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(255)),
        sa.Column("due_at", UtcDateTime),
        sa.Column("wait_to", sa.String(100)),
        sa.Column("wait_epoch", sa.Integer, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("step_started_at", UtcDateTime, nullable=False),
        sa.Column("carrier_id", sa.String(32)),
        sa.Column("started_at", UtcDateTime, nullable=False),
        sa.Column("last_transition_at", UtcDateTime, nullable=False),
        sa.Column("ended_at", UtcDateTime),
        sa.UniqueConstraint("notification_id", name="uq_chimeway_workflow_runs_notification_id"),
    ]


def _run_waits() -> list[Any]:
    return [
        sa.Column("run_id", sa.String(32), nullable=False),
        sa.Column("event_name", sa.String(100), nullable=False),
        sa.Column("tenant_id", sa.String(100), nullable=False),
        sa.Column("actor_id", sa.String(255), nullable=False),
        sa.Column("wait_epoch", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("run_id", "event_name", name="pk_chimeway_run_waits"),
    ]


def _transitions() -> list[Any]:
    return [
        sa.Column("run_id", sa.String(32), nullable=False),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("from_state", sa.String(16)),
        sa.Column("to_state", sa.String(16), nullable=False),
        sa.Column("step_key", sa.String(100), nullable=False),
        sa.Column("reason", sa.String(255), nullable=False),
        sa.Column("delivery_id", sa.String(32)),
        sa.Column("signal_id", sa.String(32)),
        sa.Column("context", _JSON),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("run_id", "seq", name="pk_chimeway_transitions"),
    ]


def _step_outputs() -> list[Any]:
    return [
        sa.Column("run_id", sa.String(32), nullable=False),
        sa.Column("step_key", sa.String(100), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("carrier_id", sa.String(32)),
        sa.Column("output", SafeText),
        sa.Column("error", SafeText),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("ended_at", UtcDateTime),
        sa.PrimaryKeyConstraint("run_id", "step_key", name="pk_chimeway_step_outputs"),
    ]


def _signals() -> list[Any]:
    return [
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("tenant_id", sa.String(100), nullable=False),
        sa.Column("actor_id", sa.String(255), nullable=False),
        sa.Column("event_name", sa.String(100), nullable=False),
        sa.Column("payload", _JSON, nullable=False),
        sa.Column("dedup_key", sa.String(255)),
        sa.Column("occurred_at", UtcDateTime, nullable=False),
        sa.Column("carrier_id", sa.String(32)),
        sa.Column("processed_at", UtcDateTime),
        sa.Column("result", _JSON),
        sa.UniqueConstraint("tenant_id", "dedup_key", name="uq_chimeway_signals_tenant_id_dedup_key"),
    ]


def _preferences() -> list[Any]:
    return [
        sa.Column("tenant_id", sa.String(100), nullable=False),
        sa.Column("recipient_identity", sa.String(255), nullable=False),
        sa.Column("scope", sa.String(16), nullable=False),
        sa.Column("subject", sa.String(255), nullable=False),
        sa.Column("channel", sa.String(100), nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("updated_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint(
            "tenant_id", "recipient_identity", "scope", "subject", "channel", name="pk_chimeway_preferences"
        ),
    ]


def _recipient_settings() -> list[Any]:
    return [
        sa.Column("tenant_id", sa.String(100), nullable=False),
        sa.Column("recipient_identity", sa.String(255), nullable=False),
        sa.Column("quiet_start", sa.Integer),
        sa.Column("quiet_end", sa.Integer),
        sa.Column("time_zone", sa.String(100)),
        sa.Column("cap_count", sa.Integer),
        sa.Column("cap_seconds", sa.Integer),
        sa.Column("updated_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "recipient_identity", name="pk_chimeway_recipient_settings"),
    ]


def _digest_buckets() -> list[Any]:
    return [
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("tenant_id", sa.String(100), nullable=False),
        sa.Column("recipient_identity", sa.String(255), nullable=False),
        sa.Column("notification_key", sa.String(255), nullable=False),
        sa.Column("channel", sa.String(100), nullable=False),
        sa.Column("group_key", sa.String(255), nullable=False),
        sa.Column("window_start", UtcDateTime, nullable=False),
        sa.Column("due_at", UtcDateTime, nullable=False),
        sa.Column("options", _JSON, nullable=False),
        sa.Column("carrier_id", sa.String(32)),
        sa.Column("flushed_at", UtcDateTime),
        sa.Column("delivery_id", sa.String(32)),
        sa.UniqueConstraint(
            "tenant_id",
            "recipient_identity",
            "notification_key",
            "channel",
            "group_key",
            "window_start",
            name="uq_chimeway_digest_buckets_window",
        ),
    ]


_TABLES = (
    _workflow_definitions,
    _workflow_runs,
    _run_waits,
    _transitions,
    _step_outputs,
    _signals,
    _preferences,
    _recipient_settings,
    _digest_buckets,
)
