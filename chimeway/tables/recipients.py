"""What recipients want, and what is held for them to go out as one."""

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
from jobs.sqltypes import UtcDateTime

#: What recipients want. `scope` is `channel` (of one notification key, or of all: empty) or `category`. No row: yes.
preferences = Table(
    "chimeway_preferences",
    metadata,
    tenant_column(),
    Column("recipient_identity", String(KEY), nullable=False),
    Column("scope", String(16), nullable=False),
    # A notification key for `channel`, a category for `category`; empty means every one.
    Column("subject", String(KEY), nullable=False),
    # Empty means every channel.
    Column("channel", String(NAME), nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("tenant_id", "recipient_identity", "scope", "subject", "channel"),
)

recipient_settings = Table(
    "chimeway_recipient_settings",
    metadata,
    tenant_column(),
    Column("recipient_identity", String(KEY), nullable=False),
    # Minutes from midnight on the recipient's clock; the end is not part of the quiet time.
    Column("quiet_start", Integer),
    Column("quiet_end", Integer),
    Column("time_zone", String(NAME)),
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
    id_column(primary_key=True),
    tenant_column(),
    Column("recipient_identity", String(KEY), nullable=False),
    Column("notification_key", String(KEY), nullable=False),
    Column("channel", String(NAME), nullable=False),
    Column("group_key", String(KEY), nullable=False),
    Column("window_start", UtcDateTime, nullable=False),
    Column("due_at", UtcDateTime, nullable=False),
    # What the digest says: `{"subject": ..., "instructions": ...}`.
    json_column("options", nullable=False),
    id_column("carrier_id"),
    Column("flushed_at", UtcDateTime),
    # The delivery that carries the digest.
    id_column("delivery_id"),
    UniqueConstraint(
        "tenant_id",
        "recipient_identity",
        "notification_key",
        "channel",
        "group_key",
        "window_start",
        name="uq_chimeway_digest_buckets_window",
    ),
    Index(
        "ix_chimeway_digest_buckets_due",
        "due_at",
        sqlite_where=text("flushed_at IS NULL"),
        postgresql_where=text("flushed_at IS NULL"),
    ),
)
