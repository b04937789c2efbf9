"""Events, notifications, deliveries, workflow runs, signals and what belongs to them."""

from __future__ import annotations

from alembic import op

from chimeway.tables import metadata

revision = "chimeway_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    metadata.create_all(op.get_bind())


def downgrade() -> None:
    """Drop them."""
    metadata.drop_all(op.get_bind())
