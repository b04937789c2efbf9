"""Digest buckets: which one a delivery is held in. No delivery is put into one that has gone out.

Who holds a delivery locks its bucket until its transaction is over, and whoever sends the digest waits for that lock: so
either the digest has the delivery, or the delivery sees that the bucket is closed and goes into the next one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, select

from chimeway import carriers
from chimeway.models import Delivery
from chimeway.policy import Digest, group_of, window_of
from chimeway.rows import in_parts
from chimeway.store import add_jobs
from chimeway.tables import digest_buckets
from jobs.sqltypes import insert_into


@dataclass(frozen=True, slots=True, kw_only=True)
class ToHold:
    """A delivery that is to be held."""

    delivery: Delivery
    #: What `Digest.to_dict` gave.
    digest: Mapping[str, Any]
    #: The parameters of the trigger.
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bucket:
    """A bucket that a delivery may go into."""

    held: ToHold
    window_start: datetime
    due_at: datetime

    @property
    def columns(self) -> dict[str, Any]:
        """What all deliveries of the bucket have in common."""
        about = self.held.delivery
        return {
            "tenant_id": about.tenant_id,
            "recipient_identity": about.recipient_identity,
            "notification_key": about.notification_key,
            "channel": about.channel,
            "group_key": group_of(Digest.from_dict(self.held.digest), self.held.payload),
            "window_start": self.window_start,
        }

    @property
    def bucket_id(self) -> str:
        """Its id, which follows from what its deliveries have in common, so that everyone calls it the same."""
        parts = {**self.columns, "window_start": self.window_start.astimezone(UTC).isoformat()}
        return sha256(json.dumps(list(parts.values())).encode()).hexdigest()[:32]


def hold(
    connection: Connection,
    delivery: Delivery,
    digest: Mapping[str, Any],
    payload: Mapping[str, Any],
    now: datetime,
) -> str:
    """Give the bucket that a delivery is held in; see `hold_all`.

    Args:
        connection: The transaction that adds the delivery.
        delivery: That is about to be added.
        digest: What `Digest.to_dict` gave.
        payload: The parameters of the trigger.
        now: The time.
    """
    return hold_all(connection, [ToHold(delivery=delivery, digest=digest, payload=payload)], now)[0]


def hold_all(connection: Connection, many: Sequence[ToHold], now: datetime) -> list[str]:
    """Give the ids of the buckets that deliveries are held in, in their order; those that are not there yet are opened.

    A bucket that has gone out already, by a clock that is ahead of this one, is closed: then it is the next window's.

    Args:
        connection: The transaction that adds the deliveries.
        many: Deliveries that are about to be added.
        now: The time.
    """
    chosen: dict[int, str] = {}
    asked = {place: _at(one, now) for place, one in enumerate(many)}
    while asked:
        opened = _open(connection, asked.values())
        chosen |= {place: one.bucket_id for place, one in asked.items() if one.bucket_id in opened}
        asked = {place: _at(one.held, one.due_at) for place, one in asked.items() if place not in chosen}
    return [chosen[place] for place in range(len(many))]


def _at(held: ToHold, moment: datetime) -> _Bucket:
    start, end = window_of(Digest.from_dict(held.digest), moment)
    return _Bucket(held=held, window_start=start, due_at=end)


def _open(connection: Connection, buckets: Iterable[_Bucket]) -> set[str]:
    """Make the buckets that are not there, with the jobs that send them, and lock all; give those that are open."""
    # In one order for all, so that two transactions do not wait for each other.
    wanted = dict(sorted((one.bucket_id, one) for one in buckets))
    opened: set[str] = set()
    for ids in in_parts(wanted):
        made = {bucket_id: carriers.flush_digest(bucket_id, at=wanted[bucket_id].due_at) for bucket_id in ids}
        rows = [
            {
                "id": bucket_id,
                **wanted[bucket_id].columns,
                "due_at": wanted[bucket_id].due_at,
                "options": dict(wanted[bucket_id].held.digest),
                "carrier_id": made[bucket_id].job_id,
            }
            for bucket_id in ids
        ]
        added = insert_into(connection, digest_buckets).values(rows).on_conflict_do_nothing()
        fresh = connection.scalars(added.returning(digest_buckets.c.id)).all()
        add_jobs(connection, [made[bucket_id] for bucket_id in sorted(fresh)])
        # The weakest lock that who flushes waits for: the sweep may still give the bucket another carrier.
        query = (
            select(digest_buckets.c.id)
            .where(digest_buckets.c.id.in_(ids), digest_buckets.c.flushed_at.is_(None))
            .order_by(digest_buckets.c.id)
            .with_for_update(read=True, key_share=True)
        )
        opened.update(connection.scalars(query))
    return opened
