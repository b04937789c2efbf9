"""The tables. A job's row is the truth about it; everything in Redis can be made again from here."""

from __future__ import annotations

from typing import Any, Literal

from sqlalchemy import JSON, BigInteger, Column, Float, Index, Integer, MetaData, String, Table, text

from jobs.sqltypes import SafeString, SafeText, UtcDateTime

State = Literal["scheduled", "available", "executing", "retryable", "completed", "cancelled", "discarded"]

#: States a job never leaves by itself.
ENDED: tuple[State, ...] = ("completed", "cancelled", "discarded")
#: States in which a job waits for something.
WAITING: tuple[State, ...] = ("scheduled", "available", "retryable")
STATES: tuple[State, ...] = (*WAITING, "executing", *ENDED)

VERSION_TABLE = "aquila_alembic_version"

metadata = MetaData(
    naming_convention={"pk": "pk_%(table_name)s", "ix": "ix_%(table_name)s_%(column_0_N_name)s"},
)

#: What is to be handed over; also said in the migration.
_AVAILABLE = text("state = 'available'")
_UNPUBLISHED = text("state = 'available' AND published_at IS NULL")

#: One row: the name under which processes that share this database find one another in Redis.
databases = Table("aquila_database", metadata, Column("id", String(32), primary_key=True))

jobs = Table(
    "aquila_jobs",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("actor_name", String(255), nullable=False),
    Column("queue_name", String(64), nullable=False),
    Column("arguments", JSON, nullable=False),
    Column("metadata", JSON, nullable=False),
    Column("tags", JSON, nullable=False, server_default="[]"),
    Column("priority", Integer, nullable=False),
    Column("cassette", String(255)),
    Column("cassette_mode", String(16)),
    # Its entry in `unique_keys`, if it was sent with one.
    Column("unique_key", String(512)),
    # Seconds that one attempt may take.
    Column("timeout", Float),
    # `{"tokens": ..., "cost": ...}`: what all attempts together may use.
    Column("budget", JSON(none_as_null=True)),
    # The sender's trace, as the W3C headers have it.
    Column("trace", JSON(none_as_null=True)),
    Column("state", String(16), nullable=False),
    # Counts what is left of max_attempts; a shutdown gives it back.
    Column("attempt", Integer, nullable=False),
    Column("max_attempts", Integer, nullable=False),
    # Rises with every claim and never falls: the fencing token of every write.
    Column("epoch", Integer, nullable=False),
    Column("scheduled_at", UtcDateTime, nullable=False),
    # NULL: not handed to the broker. Else when it was handed over, or last seen there.
    Column("published_at", UtcDateTime),
    Column("lease_until", UtcDateTime),
    Column("worker_id", String(32)),
    Column("output", SafeText),
    Column("result", JSON(none_as_null=True)),
    Column("model", SafeString(255)),
    Column("finish_reason", SafeString(64)),
    Column("usage", JSON(none_as_null=True)),
    # US dollars of all attempts; NULL: no price is known.
    Column("cost", Float),
    Column("errors", JSON, nullable=False),
    # Why it was discarded or cancelled, in words.
    Column("reason", SafeText),
    Column("time_to_first_chunk", Float),
    Column("created_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    Index(None, "state", "scheduled_at"),
    Index(None, "state", "lease_until"),
    Index(None, "created_at"),
    Index(None, "queue_name", "state"),
    Index(None, "state", "ended_at"),
    Index("ix_aquila_jobs_published", "published_at", sqlite_where=_AVAILABLE, postgresql_where=_AVAILABLE),
    Index(
        "ix_aquila_jobs_unpublished",
        "priority",
        "scheduled_at",
        sqlite_where=_UNPUBLISHED,
        postgresql_where=_UNPUBLISHED,
    ),
)

#: Who has a unique key. It is free again when its job has ended and `until` is past.
unique_keys = Table(
    "aquila_unique_keys",
    metadata,
    Column("key", String(512), primary_key=True),
    Column("job_id", String(32), nullable=False),
    Column("until", UtcDateTime),
)

#: What attempts have done already and no later attempt of the same job must do again.
steps = Table(
    "aquila_steps",
    metadata,
    Column("job_id", String(32), primary_key=True),
    Column("name", String(255), primary_key=True),
    Column("value", JSON),
    Column("epoch", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

#: Queues of which something was said. One that is paused starts no job.
queues = Table(
    "aquila_queues",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("paused_at", UtcDateTime),
)

#: Work that one worker does for all, and who does it.
leaders = Table(
    "aquila_leaders",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("worker_id", String(32), nullable=False),
    Column("until", UtcDateTime, nullable=False),
)

#: The last tick of each cron that was seen to, by name and schedule.
crons = Table(
    "aquila_crons",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("last_tick", UtcDateTime, nullable=False),
)

#: What was used under each shared budget, by period (`2026-11-24`, `2026-11`, or empty for ever).
spending = Table(
    "aquila_spending",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("period", String(32), primary_key=True),
    Column("tokens", BigInteger, nullable=False),
    Column("cost", Float, nullable=False),
)

#: One row for each worker process, so that "no worker serves this database" can be said.
workers = Table(
    "aquila_workers",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("host", SafeString(255), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("queues", JSON, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    # When it counts as dead unless it is seen again.
    Column("alive_until", UtcDateTime, nullable=False),
)


def is_aquila_table(name: str | None, type_: str, *_: Any) -> bool:
    """Tell a host's `include_name` or `include_object` hook that a table is one of ours."""
    return type_ == "table" and name is not None and name.startswith(("aquila_", "chimeway_"))
