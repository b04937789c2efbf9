"""What recipients want: which channels, notifications and categories, and when they are not to be disturbed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from aquila.errors import ConfigError
from chimeway.policy import (
    DeliveryCap,
    Preference,
    QuietHours,
    category_preference,
    channel_preference,
)
from chimeway.recipients.rows import (
    RecipientSettings,
    read_preferences,
    read_settings,
    remove_preference,
    write_preference,
)
from chimeway.recipients.whose import Whose, whose
from chimeway.settings import CHANNEL_NAME, settings
from chimeway.store import aread, atransact, read, transact
from jobs.host_connection import AsyncHostSession, HostSession
from jobs.sqltypes import storable

#: Characters that a row keeps.
LONGEST_KEY, LONGEST_CATEGORY = 255, 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """All that is known of what a recipient wants."""

    recipient_identity: str
    tenant_id: str
    #: What it said yes or no to; whatever is not named is a yes.
    said: Sequence[Preference]
    quiet_hours: QuietHours | None = None
    delivery_cap: DeliveryCap | None = None

    def allows(self, channel: str, *, notification_key: str = "", category: str | None = None) -> bool:
        """Say whether a notification may reach the recipient on a channel, quiet hours and caps apart."""
        deciding = (
            channel_preference(self.said, notification_key, channel),
            category_preference(self.said, category, channel),
        )
        return all(one is None or one.enabled for one in deciding)

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON values."""
        return {
            "recipient_identity": self.recipient_identity,
            "tenant_id": self.tenant_id,
            "said": [one.to_dict() for one in self.said],
            "quiet_hours": self.quiet_hours.to_dict() if self.quiet_hours else None,
            "delivery_cap": self.delivery_cap.to_dict() if self.delivery_cap else None,
        }


def set_preference(
    recipient: Any,
    enabled: bool | None,  # noqa: FBT001 - the word itself: set_preference(user, False, channel="sms")
    *,
    channel: str | None = None,
    notification_key: str | None = None,
    category: str | None = None,
    tenant_id: str = "default",
    session: HostSession | None = None,
) -> None:
    """Store a yes or a no of a recipient's, in the caller's transaction or in one of our own.

    It is looked at when a delivery is planned, and again when it is about to be sent. Without a word all is wanted. Of what
    was said about channels and notification keys the preference that names more decides; where one names the key, another the
    channel, and they differ, the no. A no to the category counts beside that. Critical notifications go out whatever is said.

    Args:
        recipient: An id, or a `Recipient`.
        enabled: Whether it is wanted; None takes back what was said.
        channel: None means every channel.
        notification_key: None means every notification, or those of the category.
        category: Of notifications; not beside a notification key.
        tenant_id: Whose recipient it is.
        session: A session or connection of SQLAlchemy's. Nothing is committed.

    Raises:
        ConfigError: A name cannot be one, or the session is none in whose transaction this can be done.
        StorageError: The database failed.
    """
    who = whose(recipient, tenant_id)
    said = _said(enabled, channel=channel, notification_key=notification_key, category=category)
    transact(session, _store, who, said)


async def aset_preference(
    recipient: Any,
    enabled: bool | None,  # noqa: FBT001 - as above
    *,
    channel: str | None = None,
    notification_key: str | None = None,
    category: str | None = None,
    tenant_id: str = "default",
    session: AsyncHostSession | None = None,
) -> None:
    """Do as `set_preference` does, with an asynchronous session.

    Raises:
        ConfigError: A name cannot be one, or the session is none in whose transaction this can be done.
        StorageError: The database failed.
    """
    who = whose(recipient, tenant_id)
    said = _said(enabled, channel=channel, notification_key=notification_key, category=category)
    await atransact(session, _store, who, said)


def preferences(
    recipient: Any, *, tenant_id: str = "default", session: HostSession | None = None
) -> Preferences:
    """Give all that a recipient wants.

    Args:
        recipient: An id, or a `Recipient`.
        tenant_id: Whose recipient it is.
        session: A session or connection of SQLAlchemy's, to see what its transaction has written.

    Raises:
        ConfigError: Nobody is named, or the session is none of the database.
        StorageError: The database failed.
    """
    who = whose(recipient, tenant_id)
    return read(_load, who) if session is None else transact(session, _load, who)


async def apreferences(
    recipient: Any, *, tenant_id: str = "default", session: AsyncHostSession | None = None
) -> Preferences:
    """Do as `preferences` does, with an asynchronous session.

    Raises:
        ConfigError: Nobody is named, or the session is none of the database.
        StorageError: The database failed.
    """
    who = whose(recipient, tenant_id)
    return await (aread(_load, who) if session is None else atransact(session, _load, who))


def check_names(
    *, channel: str | None = None, notification_key: str | None = None, category: str | None = None
) -> None:
    """Refuse names that nothing can have, so that a no is not said to nothing.

    Raises:
        ConfigError: A name cannot be one.
    """
    if notification_key is not None and category is not None:
        raise ConfigError("a preference is about a notification_key or about a category, not about both")
    if channel is not None and not (isinstance(channel, str) and CHANNEL_NAME.fullmatch(channel)):
        raise ConfigError(f"channel={channel!r} must be up to 100 small letters, digits and '_'")
    for name, value, longest in (
        ("notification_key", notification_key, LONGEST_KEY),
        ("category", category, LONGEST_CATEGORY),
    ):
        if value is not None and not _is_name(value, longest):
            raise ConfigError(f"{name}={value!r} must be a text of 1 to {longest} printable characters")


def _is_name(value: Any, longest: int) -> bool:
    return (
        isinstance(value, str)
        and 0 < len(value.strip()) <= len(value) <= longest
        and value == storable(value)
    )


def _said(enabled: Any, **names: str | None) -> tuple[bool | None, Preference]:
    check_names(**names)
    if enabled is not None and not isinstance(enabled, bool):
        raise ConfigError(f"enabled={enabled!r} must be True, False, or None to take back what was said")
    return enabled, Preference(enabled=bool(enabled), **names)


def _store(connection: Connection, who: Whose, said: tuple[bool | None, Preference]) -> None:
    enabled, preference = said
    if enabled is None:
        remove_preference(connection, who, preference)
    else:
        write_preference(connection, who, preference, settings().clock.now())


def _load(connection: Connection, who: Whose) -> Preferences:
    said = read_preferences(connection, who.tenant_id, [who.identity]).get(who.identity, [])
    chosen = read_settings(connection, who.tenant_id, [who.identity]).get(who.identity, RecipientSettings())
    return Preferences(
        recipient_identity=who.identity,
        tenant_id=who.tenant_id,
        said=tuple(said),
        quiet_hours=chosen.quiet_hours,
        delivery_cap=chosen.delivery_cap,
    )
