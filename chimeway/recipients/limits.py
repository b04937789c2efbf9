"""When a recipient is not to be disturbed, and how often at most."""

from __future__ import annotations

from typing import Any

from aquila.errors import ConfigError
from chimeway.policy import DeliveryCap, QuietHours
from chimeway.policy.wall_clock import minute_of, zone_of
from chimeway.recipients.rows import write_delivery_cap, write_quiet_hours
from chimeway.recipients.whose import whose
from chimeway.settings import settings
from chimeway.store import atransact, transact
from jobs.host_connection import AsyncHostSession, HostSession


def set_quiet_hours(
    recipient: Any,
    start: str,
    end: str,
    time_zone: str,
    *,
    tenant_id: str = "default",
    session: HostSession | None = None,
) -> None:
    """Store when a recipient is not to be disturbed: `set_quiet_hours(user, "22:00", "07:00", "Europe/Berlin")`.

    What falls into that time waits for its end, retries too. The in-app inbox, where nothing rings, and critical
    notifications do not.

    Args:
        recipient: An id, or a `Recipient`.
        start: By the clock on the recipient's wall.
        end: The same; it may lie on the next day. An end that is the start means no quiet hours.
        time_zone: Where the recipient lives, as the IANA calls it.
        tenant_id: Whose recipient it is.
        session: A session or connection of SQLAlchemy's. Nothing is committed.

    Raises:
        ConfigError: A value cannot be used, or the session is none in whose transaction this can be done.
        StorageError: The database failed.
    """
    quiet = _quiet_hours(start, end, time_zone)
    transact(session, write_quiet_hours, whose(recipient, tenant_id), quiet, settings().clock.now())


async def aset_quiet_hours(
    recipient: Any,
    start: str,
    end: str,
    time_zone: str,
    *,
    tenant_id: str = "default",
    session: AsyncHostSession | None = None,
) -> None:
    """Do as `set_quiet_hours` does, with an asynchronous session.

    Raises:
        ConfigError: A value cannot be used, or the session is none in whose transaction this can be done.
        StorageError: The database failed.
    """
    quiet = _quiet_hours(start, end, time_zone)
    await atransact(session, write_quiet_hours, whose(recipient, tenant_id), quiet, settings().clock.now())


def clear_quiet_hours(
    recipient: Any, *, tenant_id: str = "default", session: HostSession | None = None
) -> None:
    """Forget a recipient's quiet hours. What waits for their end goes on waiting.

    Raises:
        ConfigError: Nobody is named, or the session is none in whose transaction this can be done.
        StorageError: The database failed.
    """
    transact(session, write_quiet_hours, whose(recipient, tenant_id), None, settings().clock.now())


async def aclear_quiet_hours(
    recipient: Any, *, tenant_id: str = "default", session: AsyncHostSession | None = None
) -> None:
    """Do as `clear_quiet_hours` does, with an asynchronous session.

    Raises:
        ConfigError: Nobody is named, or the session is none in whose transaction this can be done.
        StorageError: The database failed.
    """
    await atransact(session, write_quiet_hours, whose(recipient, tenant_id), None, settings().clock.now())


def set_delivery_cap(
    recipient: Any,
    count: int | None,
    seconds: int | None = None,
    *,
    tenant_id: str = "default",
    session: HostSession | None = None,
) -> None:
    """Store how many deliveries may reach a recipient: `set_delivery_cap(user, 5, 86_400)`. What is more is suppressed.

    The in-app inbox neither counts nor is kept back. Critical notifications count and are not kept back.

    Args:
        recipient: An id, or a `Recipient`.
        count: How many; None takes the cap away.
        seconds: Within how many seconds.
        tenant_id: Whose recipient it is.
        session: A session or connection of SQLAlchemy's. Nothing is committed.

    Raises:
        ConfigError: A value cannot be used, or the session is none in whose transaction this can be done.
        StorageError: The database failed.
    """
    cap = _cap(count, seconds)
    transact(session, write_delivery_cap, whose(recipient, tenant_id), cap, settings().clock.now())


async def aset_delivery_cap(
    recipient: Any,
    count: int | None,
    seconds: int | None = None,
    *,
    tenant_id: str = "default",
    session: AsyncHostSession | None = None,
) -> None:
    """Do as `set_delivery_cap` does, with an asynchronous session.

    Raises:
        ConfigError: A value cannot be used, or the session is none in whose transaction this can be done.
        StorageError: The database failed.
    """
    cap = _cap(count, seconds)
    await atransact(session, write_delivery_cap, whose(recipient, tenant_id), cap, settings().clock.now())


def _quiet_hours(start: str, end: str, time_zone: str) -> QuietHours:
    zone_of(time_zone)
    return QuietHours(start=minute_of(start, "start"), end=minute_of(end, "end"), time_zone=time_zone)


def _cap(count: int | None, seconds: int | None) -> DeliveryCap | None:
    if count is None:
        return None
    if seconds is None:
        raise ConfigError(
            f"a delivery cap of {count!r} needs the seconds it is for: set_delivery_cap(user, 5, 86_400)"
        )
    return DeliveryCap(count, seconds)
