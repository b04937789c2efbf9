"""Ids as people type them: a part that begins no other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Table, select

from chimeway.errors import NotificationNotFound
from chimeway.store import read
from chimeway.tables import deliveries, events, notifications, runs, signals
from jobs.sqltypes import storable

#: What an id may be one of, in words.
KINDS: Mapping[str, Table] = {
    "delivery": deliveries,
    "notification": notifications,
    "event": events,
    "run": runs,
    "signal": signals,
}


@dataclass(frozen=True, slots=True)
class Found:
    """What an id stands for."""

    kind: str
    row_id: str
    tenant_id: str


def find_id(prefix: str, *kinds: str) -> Found:
    """Give the one row whose id begins so.

    Args:
        prefix: An id, or a part of it that begins no other.
        kinds: What it may be, of `KINDS`.

    Raises:
        NotificationNotFound: There is none, or more than one.
        StorageError: The database failed.
        ConfigError: The tables are missing.
    """
    return read(_find, prefix.strip().lower(), kinds)


def _find(connection: Connection, prefix: str, kinds: Sequence[str]) -> Found:
    what = " or ".join(kinds)
    if not prefix:
        raise NotificationNotFound(
            f"the id is empty; give that of a {what}, or a part of it that begins no other"
        )
    found: list[Found] = []
    for kind in kinds:
        table = KINDS[kind]
        begins = table.c.id.startswith(storable(prefix), autoescape=True)
        query = select(table.c.id, table.c.tenant_id).where(begins).limit(2)
        found += [Found(kind, str(row.id), str(row.tenant_id)) for row in connection.execute(query)]
    if len(found) == 1:
        return found[0]
    if found:
        named = " and ".join(f"{one.kind} {one.row_id}" for one in found[:2])
        raise NotificationNotFound(f"{prefix!r} begins {named}; give more of the id")
    raise NotificationNotFound(
        f"no {what} begins with {prefix!r} in this database; was its transaction rolled back, or has it been pruned?"
    )
