"""The mode of a job's cassette, so that a test's replay follows its jobs into other processes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("aquila_jobs", sa.Column("cassette_mode", sa.String(16)))


def downgrade() -> None:
    """Drop the column."""
    op.drop_column("aquila_jobs", "cassette_mode")
