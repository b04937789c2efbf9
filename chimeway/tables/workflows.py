"""Workflows, their runs, and the signals that move them."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, PrimaryKeyConstraint, String, Table, UniqueConstraint, text

from chimeway.tables.columns import KEY, NAME, id_column, json_column, metadata, tenant_column
from jobs.sqltypes import SafeText, UtcDateTime

#: What is not over, by which the sweep finds it; also said in the migration.
_WAITING = text("state = 'waiting'")
_UNPROCESSED = text("processed_at IS NULL")

definitions = Table(
    "chimeway_workflow_definitions",
    metadata,
    id_column(primary_key=True),
    Column("workflow_key", String(KEY), nullable=False),
    Column("workflow_version", Integer, nullable=False),
    json_column("steps", nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    UniqueConstraint("workflow_key", "workflow_version", name="uq_chimeway_workflow_definitions_version"),
)

runs = Table(
    "chimeway_workflow_runs",
    metadata,
    id_column(primary_key=True),
    tenant_column(),
    id_column("notification_id", nullable=False),
    id_column("event_id", nullable=False),
    Column("recipient_identity", String(KEY), nullable=False),
    id_column("definition_id", nullable=False),
    Column("workflow_key", String(KEY), nullable=False),
    Column("workflow_version", Integer, nullable=False),
    Column("current_step_key", String(NAME), nullable=False),
    Column("state", String(16), nullable=False),
    # Why it is in its state, and how it ended.
    Column("reason", String(KEY)),
    # When the wait gate opens, and what comes then.
    Column("due_at", UtcDateTime),
    Column("wait_to", String(NAME)),
    Column("wait_epoch", Integer, nullable=False),
    # Rises with every transition: who has seen an older one changes nothing.
    Column("revision", Integer, nullable=False),
    # When the current step began.
    Column("step_started_at", UtcDateTime, nullable=False),
    id_column("carrier_id"),
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
    id_column("run_id", nullable=False),
    Column("event_name", String(NAME), nullable=False),
    tenant_column(),
    Column("actor_id", String(KEY), nullable=False),
    Column("wait_epoch", Integer, nullable=False),
    PrimaryKeyConstraint("run_id", "event_name"),
    Index(None, "tenant_id", "actor_id", "event_name"),
)

#: Append-only: the run's history.
transitions = Table(
    "chimeway_transitions",
    metadata,
    id_column("run_id", nullable=False),
    # The run's revision after it.
    Column("seq", Integer, nullable=False),
    Column("from_state", String(16)),
    Column("to_state", String(16), nullable=False),
    Column("step_key", String(NAME), nullable=False),
    Column("reason", String(KEY), nullable=False),
    id_column("delivery_id"),
    id_column("signal_id"),
    json_column("context"),
    Column("created_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("run_id", "seq"),
    Index(None, "signal_id"),
)

#: What LLM steps of runs wrote.
step_outputs = Table(
    "chimeway_step_outputs",
    metadata,
    id_column("run_id", nullable=False),
    Column("step_key", String(NAME), nullable=False),
    # `pending`, `written`, `failed`.
    Column("state", String(16), nullable=False),
    id_column("carrier_id"),
    Column("output", SafeText),
    Column("error", SafeText),
    Column("created_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    PrimaryKeyConstraint("run_id", "step_key"),
)

signals = Table(
    "chimeway_signals",
    metadata,
    id_column(primary_key=True),
    tenant_column(),
    Column("actor_id", String(KEY), nullable=False),
    Column("event_name", String(NAME), nullable=False),
    json_column("payload", nullable=False),
    Column("dedup_key", String(KEY)),
    Column("occurred_at", UtcDateTime, nullable=False),
    id_column("carrier_id"),
    Column("processed_at", UtcDateTime),
    # What came of it: `{"runs": {run_id: reason}}`.
    json_column("result"),
    UniqueConstraint("tenant_id", "dedup_key"),
    Index("ix_chimeway_signals_actor", "tenant_id", "actor_id", "event_name", "occurred_at"),
    Index(
        "ix_chimeway_signals_unprocessed",
        "occurred_at",
        sqlite_where=_UNPROCESSED,
        postgresql_where=_UNPROCESSED,
    ),
    Index(None, "occurred_at"),
)
