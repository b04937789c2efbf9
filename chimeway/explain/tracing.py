"""`trace`, `traces`: what became of an event, found by what is known of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, select

from aquila.errors import ConfigError
from chimeway.explain.explaining import missing
from chimeway.explain.explanation import Trace
from chimeway.explain.reading import read_surroundings
from chimeway.explain.trace_reading import read_trace
from chimeway.models import Event
from chimeway.rows import as_record
from chimeway.settings import settings
from chimeway.store import aread, atransact, read, transact
from chimeway.tables import events, notifications
from jobs.host_connection import AsyncHostSession, HostSession
from jobs.sqltypes import storable

#: Events that are given, unless a number is asked for.
DEFAULT_LIMIT = 20


def trace(
    event_id: str | None = None,
    *,
    idempotency_key: str | None = None,
    tenant_id: str | None = None,
    session: HostSession | None = None,
) -> Trace:
    """Say what became of an event: its deliveries, its workflow runs, and what happened in which order.

    Args:
        event_id: The event.
        idempotency_key: The key it was triggered with, instead of its id; with it, no `tenant_id` means "default".
        tenant_id: Whose it must be; None asks nothing.
        session: A session or connection of SQLAlchemy's, in whose transaction it is read; None uses one of our own.

    Raises:
        ConfigError: Not one thing is named, or the session is none in whose transaction this can be done.
        NotificationNotFound: There is none, or another tenant's.
        StorageError: The database failed.
        SQLAlchemyError: A statement failed in the caller's transaction.
    """
    asked = (_one(event_id, idempotency_key, tenant_id), settings().clock.now())
    return read(_trace, *asked) if session is None else transact(session, _trace, *asked)


async def atrace(
    event_id: str | None = None,
    *,
    idempotency_key: str | None = None,
    tenant_id: str | None = None,
    session: AsyncHostSession | None = None,
) -> Trace:
    """Do as `trace` does, with an asynchronous session and without blocking the loop.

    Args:
        event_id: The event.
        idempotency_key: The key it was triggered with, instead of its id.
        tenant_id: Whose it must be; None asks nothing.
        session: An asynchronous session or connection of SQLAlchemy's; None uses a transaction of our own.

    Raises:
        ConfigError: Not one thing is named, or the session is none in whose transaction this can be done.
        NotificationNotFound: There is none, or another tenant's.
        StorageError: The database failed.
        SQLAlchemyError: A statement failed in the caller's transaction.
    """
    asked = (_one(event_id, idempotency_key, tenant_id), settings().clock.now())
    return await (aread(_trace, *asked) if session is None else atransact(session, _trace, *asked))


def traces(
    *,
    correlation_id: str | None = None,
    recipient: str | None = None,
    tenant_id: str | None = None,
    limit: int = DEFAULT_LIMIT,
    session: HostSession | None = None,
) -> list[Trace]:
    """Say what became of the events of a request, or of those that a recipient was told of; the newest first.

    Args:
        correlation_id: What the events belong to elsewhere.
        recipient: Whom they told.
        tenant_id: Whose they must be; None asks nothing.
        limit: How many at most.
        session: A session or connection of SQLAlchemy's, in whose transaction it is read; None uses one of our own.

    Raises:
        ConfigError: Nothing is named, or the session is none in whose transaction this can be done.
        StorageError: The database failed.
        SQLAlchemyError: A statement failed in the caller's transaction.
    """
    asked = (_many(correlation_id, recipient, tenant_id), _checked_limit(limit), settings().clock.now())
    return read(_traces, *asked) if session is None else transact(session, _traces, *asked)


async def atraces(
    *,
    correlation_id: str | None = None,
    recipient: str | None = None,
    tenant_id: str | None = None,
    limit: int = DEFAULT_LIMIT,
    session: AsyncHostSession | None = None,
) -> list[Trace]:
    """Do as `traces` does, with an asynchronous session and without blocking the loop.

    Args:
        correlation_id: What the events belong to elsewhere.
        recipient: Whom they told.
        tenant_id: Whose they must be; None asks nothing.
        limit: How many at most.
        session: An asynchronous session or connection of SQLAlchemy's; None uses a transaction of our own.

    Raises:
        ConfigError: Nothing is named, or the session is none in whose transaction this can be done.
        StorageError: The database failed.
        SQLAlchemyError: A statement failed in the caller's transaction.
    """
    asked = (_many(correlation_id, recipient, tenant_id), _checked_limit(limit), settings().clock.now())
    return await (aread(_traces, *asked) if session is None else atransact(session, _traces, *asked))


@dataclass(frozen=True, slots=True)
class _Asked:
    """Which events are asked for."""

    #: What it was asked by, for messages.
    named: str
    tenant_id: str | None
    where: Sequence[ColumnElement[bool]]

    @property
    def conditions(self) -> Sequence[ColumnElement[bool]]:
        """What their rows all meet."""
        if self.tenant_id is None:
            return self.where
        return (*self.where, events.c.tenant_id == storable(self.tenant_id))


def _one(event_id: str | None, key: str | None, tenant_id: str | None) -> _Asked:
    if (event_id is None) == (key is None):
        raise ConfigError("trace takes an event_id or an idempotency_key")
    if event_id is not None:
        return _Asked(event_id, tenant_id, [events.c.id == storable(event_id)])
    named = str(key)
    return _Asked(named, tenant_id or "default", [events.c.idempotency_key == storable(named)])


def _many(correlation_id: str | None, recipient: str | None, tenant_id: str | None) -> _Asked:
    where: list[ColumnElement[bool]] = []
    if correlation_id is not None:
        where.append(events.c.correlation_id == storable(correlation_id))
    if recipient is not None:
        told = select(notifications.c.event_id).where(
            notifications.c.recipient_identity == storable(str(recipient))
        )
        where.append(events.c.id.in_(told))
    if not where:
        raise ConfigError("traces takes a correlation_id, a recipient, or both")
    return _Asked("", tenant_id, where)


def _checked_limit(limit: int) -> int:
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise ConfigError(f"limit={limit!r} must be at least 1")
    return limit


def _trace(connection: Connection, asked: _Asked, now: datetime) -> Trace:
    row = connection.execute(select(events).where(*asked.conditions)).mappings().first()
    if row is None:
        raise missing("event", asked.named, asked.tenant_id)
    return read_trace(connection, as_record(Event, row), read_surroundings(connection, now))


def _traces(connection: Connection, asked: _Asked, limit: int, now: datetime) -> list[Trace]:
    query = (
        select(events).where(*asked.conditions).order_by(events.c.created_at.desc(), events.c.id).limit(limit)
    )
    found = [as_record(Event, row) for row in connection.execute(query).mappings()]
    where = read_surroundings(connection, now)
    return [read_trace(connection, one, where) for one in found]
