"""`aggregate_outcomes`: how deliveries came out, counted by notification key and channel."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select

from aquila.errors import ConfigError
from chimeway.models import DeliveryStatus, Orchestration, Outcome
from chimeway.store import aread, atransact, read, transact
from chimeway.tables import deliveries
from jobs.host_connection import AsyncHostSession, HostSession
from jobs.sqltypes import storable


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeCounts:
    """How the deliveries of one notification key on one channel stand; each is counted once."""

    notification_key: str
    channel: str
    #: Delivered.
    sent: int = 0
    suppressed: int = 0
    #: Deferred by quiet hours, held for a digest, or waiting for a text.
    delayed: int = 0
    digested: int = 0
    #: Refused for good.
    failed: int = 0
    exhausted: int = 0
    bounced: int = 0
    cancelled: int = 0
    #: Failed for now; to be tried again.
    retrying: int = 0
    #: Waiting for their turn, or being sent.
    pending: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return sum(value for value in asdict(self).values() if isinstance(value, int))

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON values."""
        return {**asdict(self), "total": self.total}


@dataclass(frozen=True, slots=True)
class _Wanted:
    notification_key: str | None
    channel: str | None
    since: datetime | None
    tenant_id: str | None


def aggregate_outcomes(
    *,
    notification_key: str | None = None,
    channel: str | None = None,
    since: datetime | None = None,
    tenant_id: str | None = None,
    session: HostSession | None = None,
) -> list[OutcomeCounts]:
    """Count how deliveries came out, by notification key and channel.

    Args:
        notification_key: Only those of this one.
        channel: Only those of this one.
        since: Only those planned then or later, an aware datetime.
        tenant_id: Only those of this one.
        session: A session or connection of SQLAlchemy's, in whose transaction it is read; None uses one of our own.

    Raises:
        ConfigError: `since` has no time zone, or the session is none in whose transaction this can be done.
        StorageError: The database failed.
        SQLAlchemyError: A statement failed in the caller's transaction.
    """
    wanted = _wanted(notification_key, channel, since, tenant_id)
    return read(_count, wanted) if session is None else transact(session, _count, wanted)


async def aaggregate_outcomes(
    *,
    notification_key: str | None = None,
    channel: str | None = None,
    since: datetime | None = None,
    tenant_id: str | None = None,
    session: AsyncHostSession | None = None,
) -> list[OutcomeCounts]:
    """Do as `aggregate_outcomes` does, with an asynchronous session and without blocking the loop.

    Args:
        notification_key: Only those of this one.
        channel: Only those of this one.
        since: Only those planned then or later, an aware datetime.
        tenant_id: Only those of this one.
        session: An asynchronous session or connection of SQLAlchemy's; None uses a transaction of our own.

    Raises:
        ConfigError: `since` has no time zone, or the session is none in whose transaction this can be done.
        StorageError: The database failed.
        SQLAlchemyError: A statement failed in the caller's transaction.
    """
    wanted = _wanted(notification_key, channel, since, tenant_id)
    return await (aread(_count, wanted) if session is None else atransact(session, _count, wanted))


def counted(rows: Iterable[Any]) -> list[OutcomeCounts]:
    """Count rows of key, channel, status, outcome, orchestration state and number."""
    found: defaultdict[tuple[str, str], defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    for key, channel, status, outcome, state, number in rows:
        found[key, channel][_kind(status, outcome, state)] += number
    return [
        OutcomeCounts(notification_key=key, channel=channel, **found[key, channel])
        for key, channel in sorted(found)
    ]


def _kind(status: str, outcome: str | None, state: str) -> str:
    if status == DeliveryStatus.CANCELLED:
        return _GIVEN_UP.get(str(outcome), "cancelled")
    if status == DeliveryStatus.PENDING and state != Orchestration.READY:
        return "delayed"
    return _STATUSES.get(status, "pending")


def _count(connection: Connection, wanted: _Wanted) -> list[OutcomeCounts]:
    about = deliveries.c
    columns = (about.notification_key, about.channel, about.status, about.outcome, about.orchestration_state)
    query = select(*columns, func.count()).group_by(*columns)
    for name in ("notification_key", "channel", "tenant_id"):
        value = getattr(wanted, name)
        if value is not None:
            query = query.where(about[name] == storable(value))
    if wanted.since is not None:
        query = query.where(about.created_at >= wanted.since)
    return counted(connection.execute(query).all())


def _wanted(key: str | None, channel: str | None, since: datetime | None, tenant_id: str | None) -> _Wanted:
    if since is not None and not (isinstance(since, datetime) and since.tzinfo):
        raise ConfigError(f"since={since!r} must be an aware datetime")
    return _Wanted(key, channel, since, tenant_id)


_GIVEN_UP = {
    Outcome.RETRIES_EXHAUSTED.value: "exhausted",
    Outcome.PERMANENT_FAILURE.value: "failed",
    Outcome.BOUNCED.value: "bounced",
}
_STATUSES = {
    DeliveryStatus.SUCCEEDED.value: "sent",
    DeliveryStatus.SUPPRESSED.value: "suppressed",
    DeliveryStatus.DIGESTED.value: "digested",
    DeliveryStatus.FAILED.value: "retrying",
}
