"""What a job may be limited by, and what workers must agree on: keys, steps, queues, leaders, ticks and spending."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from jobs.sqltypes import SafeText, UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_COLUMNS = (
    ("unique_key", sa.String(512)),
    ("timeout", sa.Float),
    ("cost", sa.Float),
    ("budget", sa.JSON),
    ("reason", SafeText),
    ("trace", sa.JSON),
)
_TABLES = ("unique_keys", "steps", "queues", "leaders", "crons", "spending")


def upgrade() -> None:
    """Add the columns and the tables."""
    for name, type_ in _COLUMNS:
        op.add_column("aquila_jobs", sa.Column(name, type_))
    op.add_column("aquila_jobs", sa.Column("tags", sa.JSON, nullable=False, server_default="[]"))
    # What is to be handed over, and nothing else: the relay asks for it again and again.
    waiting = sa.text("state = 'available' AND published_at IS NULL")
    op.create_index(
        "ix_aquila_jobs_unpublished",
        "aquila_jobs",
        ["priority", "scheduled_at"],
        sqlite_where=waiting,
        postgresql_where=waiting,
    )
    available = sa.text("state = 'available'")
    op.create_index(
        "ix_aquila_jobs_published",
        "aquila_jobs",
        ["published_at"],
        sqlite_where=available,
        postgresql_where=available,
    )
    op.create_index("ix_aquila_jobs_queue_name_state", "aquila_jobs", ["queue_name", "state"])
    op.create_index("ix_aquila_jobs_state_ended_at", "aquila_jobs", ["state", "ended_at"])
    _create_tables()


def _create_tables() -> None:
    op.create_table(
        "aquila_unique_keys",
        sa.Column("key", sa.String(512), primary_key=True),
        sa.Column("job_id", sa.String(32), nullable=False),
        sa.Column("until", UtcDateTime),
    )
    op.create_table(
        "aquila_steps",
        sa.Column("job_id", sa.String(32), primary_key=True),
        sa.Column("name", sa.String(255), primary_key=True),
        sa.Column("value", sa.JSON),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
    )
    op.create_table(
        "aquila_queues",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("paused_at", UtcDateTime),
    )
    op.create_table(
        "aquila_leaders",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("worker_id", sa.String(32), nullable=False),
        sa.Column("until", UtcDateTime, nullable=False),
    )
    op.create_table(
        "aquila_crons",
        sa.Column("name", sa.String(255), primary_key=True),
        sa.Column("last_tick", UtcDateTime, nullable=False),
    )
    op.create_table(
        "aquila_spending",
        sa.Column("name", sa.String(255), primary_key=True),
        sa.Column("period", sa.String(32), primary_key=True),
        sa.Column("tokens", sa.BigInteger, nullable=False),
        sa.Column("cost", sa.Float, nullable=False),
    )


def downgrade() -> None:
    """Drop them."""
    for table in _TABLES:
        op.drop_table(f"aquila_{table}")
    for index in ("state_ended_at", "queue_name_state", "published", "unpublished"):
        op.drop_index(f"ix_aquila_jobs_{index}", "aquila_jobs")
    with op.batch_alter_table("aquila_jobs") as batch:
        for name in ("tags", *(name for name, _ in _COLUMNS)):
            batch.drop_column(name)
