"""What a recipient does with what is in the inbox: each first time is also a signal, in the same transaction."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update

from chimeway.errors import NotificationNotFound
from chimeway.in_app.pages import in_the_inbox
from chimeway.recipients.whose import Whose, whose
from chimeway.rows import known_id
from chimeway.settings import settings
from chimeway.signal import add_signal
from chimeway.store import atransact, awrite, transact, write
from chimeway.tables import notifications
from jobs.host_connection import AsyncHostSession, HostSession

SEEN, READ = "chimeway.notification.seen", "chimeway.notification.read"
#: What is told of a first time, by the column that keeps it.
_EVENT_NAMES = {"seen_at": SEEN, "read_at": READ}
#: Notifications that one transaction of our own marks.
BATCH = 100


def mark_seen(
    recipient: Any, notification_id: str, *, tenant_id: str = "default", session: HostSession | None = None
) -> bool:
    """Note that a recipient has seen a notification in a list; True if it was the first time.

    Args:
        recipient: Whose it is: an id, or a `Recipient`.
        notification_id: The notification; it need not stand in the inbox.
        tenant_id: Whose recipient it is.
        session: A session or connection of SQLAlchemy's, in whose transaction it is noted; None uses one of our own.

    Raises:
        NotificationNotFound: The recipient has no such notification.
        ConfigError: A value cannot be used, or the session is none in whose transaction this can be done.
        StorageError: The database failed, and nothing was noted.
        SQLAlchemyError: A statement failed in the caller's transaction.
    """
    return transact(
        session, _mark, "seen_at", whose(recipient, tenant_id), notification_id, settings().clock.now()
    )


async def amark_seen(
    recipient: Any,
    notification_id: str,
    *,
    tenant_id: str = "default",
    session: AsyncHostSession | None = None,
) -> bool:
    """Do as `mark_seen` does, with an asynchronous session and without blocking the loop.

    Args:
        recipient: Whose it is: an id, or a `Recipient`.
        notification_id: The notification.
        tenant_id: Whose recipient it is.
        session: An asynchronous session or connection of SQLAlchemy's; None uses a transaction of our own.

    Raises:
        NotificationNotFound: The recipient has no such notification.
        ConfigError: A value cannot be used, or the session is none in whose transaction this can be done.
        StorageError: The database failed, and nothing was noted.
        SQLAlchemyError: A statement failed in the caller's transaction.
    """
    who = whose(recipient, tenant_id)
    return await atransact(session, _mark, "seen_at", who, notification_id, settings().clock.now())


def mark_read(
    recipient: Any, notification_id: str, *, tenant_id: str = "default", session: HostSession | None = None
) -> bool:
    """Note that a recipient has read a notification, wherever that was; True if it was the first time.

    It says nothing of `seen`.

    Args:
        recipient: Whose it is: an id, or a `Recipient`.
        notification_id: The notification; it need not stand in the inbox.
        tenant_id: Whose recipient it is.
        session: A session or connection of SQLAlchemy's, in whose transaction it is noted; None uses one of our own.

    Raises:
        NotificationNotFound: The recipient has no such notification.
        ConfigError: A value cannot be used, or the session is none in whose transaction this can be done.
        StorageError: The database failed, and nothing was noted.
        SQLAlchemyError: A statement failed in the caller's transaction.
    """
    return transact(
        session, _mark, "read_at", whose(recipient, tenant_id), notification_id, settings().clock.now()
    )


async def amark_read(
    recipient: Any,
    notification_id: str,
    *,
    tenant_id: str = "default",
    session: AsyncHostSession | None = None,
) -> bool:
    """Do as `mark_read` does, with an asynchronous session and without blocking the loop.

    Args:
        recipient: Whose it is: an id, or a `Recipient`.
        notification_id: The notification.
        tenant_id: Whose recipient it is.
        session: An asynchronous session or connection of SQLAlchemy's; None uses a transaction of our own.

    Raises:
        NotificationNotFound: The recipient has no such notification.
        ConfigError: A value cannot be used, or the session is none in whose transaction this can be done.
        StorageError: The database failed, and nothing was noted.
        SQLAlchemyError: A statement failed in the caller's transaction.
    """
    who = whose(recipient, tenant_id)
    return await atransact(session, _mark, "read_at", who, notification_id, settings().clock.now())


def archive(
    recipient: Any, notification_id: str, *, tenant_id: str = "default", session: HostSession | None = None
) -> bool:
    """Put a notification away, so that the inbox leaves it out; True if it was the first time. It is no signal.

    Args:
        recipient: Whose it is: an id, or a `Recipient`.
        notification_id: The notification.
        tenant_id: Whose recipient it is.
        session: A session or connection of SQLAlchemy's, in whose transaction it is noted; None uses one of our own.

    Raises:
        NotificationNotFound: The recipient has no such notification.
        ConfigError: A value cannot be used, or the session is none in whose transaction this can be done.
        StorageError: The database failed, and nothing was noted.
        SQLAlchemyError: A statement failed in the caller's transaction.
    """
    return transact(
        session, _mark, "archived_at", whose(recipient, tenant_id), notification_id, settings().clock.now()
    )


async def aarchive(
    recipient: Any,
    notification_id: str,
    *,
    tenant_id: str = "default",
    session: AsyncHostSession | None = None,
) -> bool:
    """Do as `archive` does, with an asynchronous session and without blocking the loop.

    Args:
        recipient: Whose it is: an id, or a `Recipient`.
        notification_id: The notification.
        tenant_id: Whose recipient it is.
        session: An asynchronous session or connection of SQLAlchemy's; None uses a transaction of our own.

    Raises:
        NotificationNotFound: The recipient has no such notification.
        ConfigError: A value cannot be used, or the session is none in whose transaction this can be done.
        StorageError: The database failed, and nothing was noted.
        SQLAlchemyError: A statement failed in the caller's transaction.
    """
    who = whose(recipient, tenant_id)
    return await atransact(session, _mark, "archived_at", who, notification_id, settings().clock.now())


def mark_all_read(recipient: Any, *, tenant_id: str = "default", session: HostSession | None = None) -> int:
    """Note that a recipient has read all that stands in the inbox by now; give how many were new.

    Args:
        recipient: Whose it is: an id, or a `Recipient`.
        tenant_id: Whose recipient it is.
        session: A session or connection of SQLAlchemy's, in whose transaction all are marked; None marks a hundred in each
            transaction of our own.

    Raises:
        ConfigError: A value cannot be used, or the session is none in whose transaction this can be done.
        StorageError: The database failed; what was marked by then stays so.
        SQLAlchemyError: A statement failed in the caller's transaction.
    """
    who, now = whose(recipient, tenant_id), settings().clock.now()
    if session is not None:
        return transact(session, _mark_all, who, now)
    marked, found = 0, BATCH
    while found == BATCH:
        found, some = write(_mark_some, who, now)
        marked += some
    return marked


async def amark_all_read(
    recipient: Any, *, tenant_id: str = "default", session: AsyncHostSession | None = None
) -> int:
    """Do as `mark_all_read` does, with an asynchronous session and without blocking the loop.

    Args:
        recipient: Whose it is: an id, or a `Recipient`.
        tenant_id: Whose recipient it is.
        session: An asynchronous session or connection of SQLAlchemy's; None marks a hundred in each transaction of our own.

    Raises:
        ConfigError: A value cannot be used, or the session is none in whose transaction this can be done.
        StorageError: The database failed; what was marked by then stays so.
        SQLAlchemyError: A statement failed in the caller's transaction.
    """
    who, now = whose(recipient, tenant_id), settings().clock.now()
    if session is not None:
        return await atransact(session, _mark_all, who, now)
    marked, found = 0, BATCH
    while found == BATCH:
        found, some = await awrite(_mark_some, who, now)
        marked += some
    return marked


def _mark(connection: Connection, column: str, who: Whose, notification_id: str, now: datetime) -> bool:
    table = notifications
    theirs = (
        table.c.id == notification_id,
        table.c.tenant_id == who.tenant_id,
        table.c.recipient_identity == who.identity,
    )
    first = update(table).where(*theirs, table.c[column].is_(None)).values({column: now})
    if known_id(notification_id) and connection.execute(first).rowcount == 1:
        _tell(connection, column, who, notification_id, now)
        return True
    if not known_id(notification_id) or connection.execute(select(table.c.id).where(*theirs)).first() is None:
        raise NotificationNotFound(
            f"this recipient of the tenant {who.tenant_id!r} has no notification {notification_id!r}"
        )
    return False


def _mark_all(connection: Connection, who: Whose, now: datetime) -> int:
    marked, found = 0, BATCH
    while found == BATCH:
        found, some = _mark_some(connection, who, now)
        marked += some
    return marked


def _mark_some(connection: Connection, who: Whose, now: datetime) -> tuple[int, int]:
    """Mark some; give how many were unread, and how many of these this transaction has marked."""
    table = notifications
    unread = (table.c.read_at.is_(None), table.c.archived_at.is_(None), table.c.inbox_at <= now)
    some = (
        select(table.c.id)
        .where(in_the_inbox(who), *unread)
        .order_by(table.c.inbox_at, table.c.id)
        .limit(BATCH)
    )
    ids = list(connection.scalars(some))
    # Somebody else may mark one of them at this moment: then it is theirs to tell.
    mine = update(table).where(table.c.id.in_(ids), table.c.read_at.is_(None)).values(read_at=now)
    marked = list(connection.scalars(mine.returning(table.c.id)))
    for notification_id in marked:
        _tell(connection, "read_at", who, notification_id, now)
    return len(ids), len(marked)


def _tell(connection: Connection, column: str, who: Whose, notification_id: str, now: datetime) -> None:
    event_name = _EVENT_NAMES.get(column)
    if event_name is not None:
        add_signal(
            connection,
            tenant_id=who.tenant_id,
            actor_id=who.identity,
            event_name=event_name,
            payload={"notification_id": notification_id},
            now=now,
        )
