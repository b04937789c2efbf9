"""The jobs, the workers that serve them and the database's own name."""

from __future__ import annotations

import uuid

import sqlalchemy as sa
from alembic import op

from jobs.sqltypes import SafeText, UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    databases = op.create_table(
        "aquila_database",
        sa.Column("id", sa.String(32), primary_key=True),
    )
    op.bulk_insert(databases, [{"id": uuid.uuid4().hex}])
    _create_jobs()
    op.create_table(
        "aquila_workers",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("queues", sa.JSON, nullable=False),
        sa.Column("started_at", UtcDateTime, nullable=False),
        sa.Column("seen_at", UtcDateTime, nullable=False),
        sa.Column("alive_until", UtcDateTime, nullable=False),
    )


def _create_jobs() -> None:
    op.create_table(
        "aquila_jobs",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("actor_name", sa.String(255), nullable=False),
        sa.Column("queue_name", sa.String(64), nullable=False),
        sa.Column("arguments", sa.JSON, nullable=False),
        sa.Column("metadata", sa.JSON, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("cassette", sa.String(255)),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("max_attempts", sa.Integer, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("scheduled_at", UtcDateTime, nullable=False),
        sa.Column("published_at", UtcDateTime),
        sa.Column("lease_until", UtcDateTime),
        sa.Column("worker_id", sa.String(32)),
        sa.Column("output", SafeText),
        sa.Column("result", sa.JSON),
        sa.Column("model", sa.String(255)),
        sa.Column("finish_reason", sa.String(64)),
        sa.Column("usage", sa.JSON),
        sa.Column("errors", sa.JSON, nullable=False),
        sa.Column("time_to_first_chunk", sa.Float),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("started_at", UtcDateTime),
        sa.Column("ended_at", UtcDateTime),
    )
    for columns in (["state", "scheduled_at"], ["state", "lease_until"], ["created_at"]):
        op.create_index(f"ix_aquila_jobs_{'_'.join(columns)}", "aquila_jobs", columns)


def downgrade() -> None:
    """Drop the tables, and every job with them."""
    for table in ("aquila_workers", "aquila_jobs", "aquila_database"):
        op.drop_table(table)
