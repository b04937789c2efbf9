"""The inbox of a recipient: what the in-app channel has brought, newest first, a page at a time."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select

from aquila.errors import ConfigError
from chimeway.content import Content
from chimeway.in_app.content import shown_contents
from chimeway.models import Notification
from chimeway.recipients.whose import Whose, whose
from chimeway.rows import as_record, known_id
from chimeway.store import aread, atransact, read, transact
from chimeway.tables import notifications
from jobs.host_connection import AsyncHostSession, HostSession

#: Items of one page.
LARGEST_PAGE = 100
DEFAULT_PAGE = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxItem:
    """A notification as its recipient sees it."""

    notification_id: str
    event_id: str
    notification_key: str
    category: str | None
    content: Content
    #: When it came.
    inbox_at: datetime
    seen_at: datetime | None
    read_at: datetime | None
    archived_at: datetime | None

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON values, for a browser."""
        moments = {name: getattr(self, name) for name in ("inbox_at", "seen_at", "read_at", "archived_at")}
        return {
            "notification_id": self.notification_id,
            "event_id": self.event_id,
            "notification_key": self.notification_key,
            "category": self.category,
            "subject": self.content.subject,
            "text": self.content.text,
            "url": self.content.url,
            "data": dict(self.content.data),
            **{name: moment and moment.isoformat() for name, moment in moments.items()},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxPage:
    """Some items of an inbox, newest first."""

    items: Sequence[InboxItem]
    #: `inbox(before=...)` goes on from here; None at the end.
    next_cursor: str | None

    @property
    def has_more(self) -> bool:
        """Whether there are older ones."""
        return self.next_cursor is not None

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON values."""
        return {"items": [one.to_dict() for one in self.items], "next_cursor": self.next_cursor}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    who: Whose
    limit: int
    before: tuple[datetime, str] | None
    unread_only: bool
    include_archived: bool


def inbox(
    recipient: Any,
    *,
    tenant_id: str = "default",
    limit: int = DEFAULT_PAGE,
    before: str | None = None,
    unread_only: bool = False,
    include_archived: bool = False,
    session: HostSession | None = None,
) -> InboxPage:
    """Give a page of a recipient's inbox, newest first.

    Args:
        recipient: Whose: an id, or a `Recipient`.
        tenant_id: Whose recipient it is.
        limit: Items at most, up to 100.
        before: The `next_cursor` of the page before; None begins with the newest.
        unread_only: Leave out what was read.
        include_archived: Give what was archived, too.
        session: A session or connection of SQLAlchemy's, in whose transaction it is read; None uses one of our own.

    Raises:
        ConfigError: A value cannot be used, or the session is none in whose transaction this can be done.
        StorageError: The database failed.
        SQLAlchemyError: A statement failed in the caller's transaction.
    """
    wanted = _wanted(whose(recipient, tenant_id), limit, before, unread_only, include_archived)
    return read(_page, wanted) if session is None else transact(session, _page, wanted)


async def ainbox(
    recipient: Any,
    *,
    tenant_id: str = "default",
    limit: int = DEFAULT_PAGE,
    before: str | None = None,
    unread_only: bool = False,
    include_archived: bool = False,
    session: AsyncHostSession | None = None,
) -> InboxPage:
    """Do as `inbox` does, with an asynchronous session and without blocking the loop.

    Args:
        recipient: Whose: an id, or a `Recipient`.
        tenant_id: Whose recipient it is.
        limit: Items at most, up to 100.
        before: The `next_cursor` of the page before; None begins with the newest.
        unread_only: Leave out what was read.
        include_archived: Give what was archived, too.
        session: An asynchronous session or connection of SQLAlchemy's; None uses a transaction of our own.

    Raises:
        ConfigError: A value cannot be used, or the session is none in whose transaction this can be done.
        StorageError: The database failed.
        SQLAlchemyError: A statement failed in the caller's transaction.
    """
    wanted = _wanted(whose(recipient, tenant_id), limit, before, unread_only, include_archived)
    return await (aread(_page, wanted) if session is None else atransact(session, _page, wanted))


def unread_count(recipient: Any, *, tenant_id: str = "default", session: HostSession | None = None) -> int:
    """Count what a recipient has not read, what is archived left out.

    Args:
        recipient: Whose: an id, or a `Recipient`.
        tenant_id: Whose recipient it is.
        session: A session or connection of SQLAlchemy's, in whose transaction it is read; None uses one of our own.

    Raises:
        ConfigError: A value cannot be used, or the session is none in whose transaction this can be done.
        StorageError: The database failed.
        SQLAlchemyError: A statement failed in the caller's transaction.
    """
    who = whose(recipient, tenant_id)
    return read(_count, who) if session is None else transact(session, _count, who)


async def aunread_count(
    recipient: Any, *, tenant_id: str = "default", session: AsyncHostSession | None = None
) -> int:
    """Do as `unread_count` does, with an asynchronous session and without blocking the loop.

    Args:
        recipient: Whose: an id, or a `Recipient`.
        tenant_id: Whose recipient it is.
        session: An asynchronous session or connection of SQLAlchemy's; None uses a transaction of our own.

    Raises:
        ConfigError: A value cannot be used, or the session is none in whose transaction this can be done.
        StorageError: The database failed.
        SQLAlchemyError: A statement failed in the caller's transaction.
    """
    who = whose(recipient, tenant_id)
    return await (aread(_count, who) if session is None else atransact(session, _count, who))


def in_the_inbox(who: Whose) -> ColumnElement[bool]:
    """Give the condition of notifications that stand in a recipient's inbox."""
    return and_(
        notifications.c.tenant_id == who.tenant_id,
        notifications.c.recipient_identity == who.identity,
        notifications.c.inbox_at.is_not(None),
    )


def _wanted(who: Whose, limit: int, before: str | None, unread_only: bool, include_archived: bool) -> _Wanted:  # noqa: FBT001 - passed on
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= LARGEST_PAGE:
        raise ConfigError(
            f"limit={limit!r} of an inbox is a number from 1 to {LARGEST_PAGE}; page on with before="
        )
    place = None if before is None else _read_cursor(before)
    return _Wanted(
        who=who, limit=limit, before=place, unread_only=unread_only, include_archived=include_archived
    )


def _page(connection: Connection, wanted: _Wanted) -> InboxPage:
    table = notifications
    query = select(table).where(in_the_inbox(wanted.who))
    if not wanted.include_archived:
        query = query.where(table.c.archived_at.is_(None))
    if wanted.unread_only:
        query = query.where(table.c.read_at.is_(None))
    if wanted.before is not None:
        moment, row_id = wanted.before
        older = or_(table.c.inbox_at < moment, and_(table.c.inbox_at == moment, table.c.id < row_id))
        query = query.where(older)
    # One more than is wanted tells whether there are more.
    ordered = query.order_by(table.c.inbox_at.desc(), table.c.id.desc()).limit(wanted.limit + 1)
    found = [as_record(Notification, row) for row in connection.execute(ordered).mappings()]
    shown = found[: wanted.limit]
    contents = shown_contents(connection, shown)
    items = [_item(one, *contents[one.notification_id]) for one in shown]
    return InboxPage(items=items, next_cursor=_cursor(items[-1]) if len(found) > wanted.limit else None)


def _count(connection: Connection, who: Whose) -> int:
    unread = (notifications.c.read_at.is_(None), notifications.c.archived_at.is_(None))
    query = select(func.count()).select_from(notifications).where(in_the_inbox(who), *unread)
    return connection.execute(query).scalar_one()


def _item(one: Notification, content: Content, category: str | None) -> InboxItem:
    names = (
        "notification_id",
        "event_id",
        "notification_key",
        "inbox_at",
        "seen_at",
        "read_at",
        "archived_at",
    )
    return InboxItem(content=content, category=category, **{name: getattr(one, name) for name in names})


def _cursor(item: InboxItem) -> str:
    return base64.urlsafe_b64encode(f"{item.inbox_at.isoformat()} {item.notification_id}".encode()).decode()


def _read_cursor(text: str) -> tuple[datetime, str]:
    try:
        moment, _, row_id = base64.urlsafe_b64decode(text).decode("ascii").partition(" ")
        read_moment = datetime.fromisoformat(moment)
        in_utc = read_moment.astimezone(UTC)
    except (TypeError, ValueError, OverflowError, binascii.Error):
        raise ConfigError(
            "before= is no cursor of an inbox; give the next_cursor of the page before"
        ) from None
    if read_moment.tzinfo is None or not known_id(row_id):
        raise ConfigError("before= is no cursor of an inbox; give the next_cursor of the page before")
    return in_utc, row_id
