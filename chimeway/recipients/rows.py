"""The rows of what recipients want: preferences, quiet hours, delivery caps. Read and written in a transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, select

from chimeway.policy import DeliveryCap, Preference, QuietHours
from chimeway.recipients.whose import Whose
from chimeway.rows import in_parts
from chimeway.tables import preferences, recipient_settings
from jobs.sqltypes import insert_into

#: What a row is about: a notification key, or a category.
CHANNEL, CATEGORY = "channel", "category"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientSettings:
    """When a recipient is not to be disturbed, and how often at most."""

    quiet_hours: QuietHours | None = None
    delivery_cap: DeliveryCap | None = None


def read_preferences(
    connection: Connection,
    tenant_id: str,
    identities: Collection[str],
    *,
    subjects: Collection[str] | None = None,
) -> dict[str, list[Preference]]:
    """Read what recipients want, by recipient; those who said nothing are left out.

    Args:
        connection: A transaction.
        tenant_id: Whose recipients they are.
        identities: The recipients.
        subjects: Notification keys and categories that are asked for, besides what is said of all; None means every one.
    """
    found: dict[str, list[Preference]] = {}
    for part in in_parts(identities):
        query = select(preferences).where(
            preferences.c.tenant_id == tenant_id, preferences.c.recipient_identity.in_(part)
        )
        if subjects is not None:
            query = query.where(preferences.c.subject.in_(["", *subjects]))
        for row in connection.execute(query.order_by(*preferences.primary_key.columns)).mappings():
            found.setdefault(row["recipient_identity"], []).append(_preference(row))
    return found


def read_settings(
    connection: Connection, tenant_id: str, identities: Collection[str]
) -> dict[str, RecipientSettings]:
    """Read the quiet hours and caps of recipients, by recipient; those without any are left out."""
    table = recipient_settings
    found: dict[str, RecipientSettings] = {}
    for part in in_parts(identities):
        query = select(table).where(table.c.tenant_id == tenant_id, table.c.recipient_identity.in_(part))
        for row in connection.execute(query).mappings():
            found[row["recipient_identity"]] = _settings(row)
    return found


def write_preference(connection: Connection, who: Whose, said: Preference, now: datetime) -> None:
    """Store a preference; the one with the same names goes."""
    _upsert(connection, preferences, {**_key(who, said), "enabled": said.enabled, "updated_at": now})


def remove_preference(connection: Connection, who: Whose, said: Preference) -> None:
    """Forget the preference with these names, if there is one."""
    where = [preferences.c[name] == value for name, value in _key(who, said).items()]
    connection.execute(delete(preferences).where(*where))


def write_quiet_hours(connection: Connection, who: Whose, quiet: QuietHours | None, now: datetime) -> None:
    """Store the quiet hours of a recipient; None forgets them."""
    values = (None, None, None) if quiet is None else (quiet.start, quiet.end, quiet.time_zone)
    _write_settings(
        connection, who, dict(zip(("quiet_start", "quiet_end", "time_zone"), values, strict=True)), now
    )


def write_delivery_cap(connection: Connection, who: Whose, cap: DeliveryCap | None, now: datetime) -> None:
    """Store the cap of a recipient; None forgets it."""
    values = (None, None) if cap is None else (cap.count, cap.seconds)
    _write_settings(connection, who, dict(zip(("cap_count", "cap_seconds"), values, strict=True)), now)


def _write_settings(connection: Connection, who: Whose, values: dict[str, Any], now: datetime) -> None:
    names = {"tenant_id": who.tenant_id, "recipient_identity": who.identity}
    _upsert(connection, recipient_settings, {**names, **values, "updated_at": now})


def _upsert(connection: Connection, table: Any, row: dict[str, Any]) -> None:
    keys = list(table.primary_key.columns)
    named = {column.name for column in keys}
    changes = {name: value for name, value in row.items() if name not in named}
    inserted = insert_into(connection, table).values(**row)
    connection.execute(inserted.on_conflict_do_update(index_elements=keys, set_=changes))


def _key(who: Whose, said: Preference) -> dict[str, str]:
    is_category = said.category is not None
    return {
        "tenant_id": who.tenant_id,
        "recipient_identity": who.identity,
        "scope": CATEGORY if is_category else CHANNEL,
        "subject": (said.category if is_category else said.notification_key) or "",
        "channel": said.channel or "",
    }


def _preference(row: Mapping[Any, Any]) -> Preference:
    subject = row["subject"] or None
    about = {"category": subject} if row["scope"] == CATEGORY else {"notification_key": subject}
    return Preference(enabled=row["enabled"], channel=row["channel"] or None, **about)


def _settings(row: Mapping[Any, Any]) -> RecipientSettings:
    quiet = cap = None
    if row["quiet_start"] is not None:
        quiet = QuietHours(start=row["quiet_start"], end=row["quiet_end"], time_zone=row["time_zone"])
    if row["cap_count"] is not None:
        cap = DeliveryCap(row["cap_count"], row["cap_seconds"])
    return RecipientSettings(quiet_hours=quiet, delivery_cap=cap)
