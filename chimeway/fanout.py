"""Events of many recipients: they are stored a few hundred in a row, and planned by jobs, one for each row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, insert, select, update

from chimeway import carriers, store
from chimeway.errors import NotifierInvalid
from chimeway.models import Event
from chimeway.notifying import Notified, Told, add_notifications
from chimeway.recipient import Recipient
from chimeway.registry import notifiers
from chimeway.rendering import render_each
from chimeway.rows import get_event
from chimeway.store import add_jobs
from chimeway.tables import fanouts

#: Recipients up to whom everything is planned in the transaction that triggers; more are left to jobs.
AT_ONCE = 100
#: Recipients of one job.
CHUNK = 500


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some recipients of an event that are still to be planned."""

    event_id: str
    chunk: int


def store_chunks(
    connection: Connection, event: Event, recipients: Sequence[Recipient], *, here: bool
) -> list[Chunk]:
    """Store the recipients of an event, and add the jobs that plan them.

    Args:
        connection: A transaction that writes.
        event: The event.
        recipients: All of them.
        here: Whether the process plans them itself, so that no jobs are added.
    """
    parts = [recipients[start : start + CHUNK] for start in range(0, len(recipients), CHUNK)]
    jobs = [] if here else [carriers.plan(event.event_id, number) for number in range(len(parts))]
    connection.execute(
        insert(fanouts),
        [
            {
                "event_id": event.event_id,
                "chunk": number,
                "recipients": [one.to_dict() for one in part],
                "revision": 0,
                "carrier_id": None if here else jobs[number].job_id,
            }
            for number, part in enumerate(parts)
        ],
    )
    add_jobs(connection, jobs)
    return [Chunk(event.event_id, number) for number in range(len(parts))]


def plan_chunk(chunk: Chunk, now: datetime) -> Told:
    """Plan the recipients of one row; nothing if they are planned.

    The notifier's own code runs while no transaction is open. Recipients for whom it raises stay in the row, with the error;
    the others are told.

    Raises:
        NotifierInvalid: This process does not know the notifier, or it can tell none of them.
        StorageError: The database failed, and nobody was told.
    """
    found = store.read(_load, chunk)
    if found is None:
        return Told()
    try:
        ready = _rendered(chunk, found)
    except NotifierInvalid as error:
        store.write(_note_error, chunk, error)
        raise
    return store.write(_plan, ready, now)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What a row holds."""

    event: Event
    recipients: Sequence[Recipient]
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ready:
    """Recipients that can be told, and those that cannot."""

    chunk: Chunk
    revision: int
    said: Notified
    left: Sequence[Recipient]
    error: str | None


def _load(connection: Connection, chunk: Chunk) -> _Found | None:
    row = connection.execute(select(fanouts).where(_row(chunk), fanouts.c.planned_at.is_(None))).first()
    if row is None:
        return None
    recipients = [Recipient.from_dict(one) for one in row.recipients]
    return _Found(event=get_event(connection, chunk.event_id), recipients=recipients, revision=row.revision)


def _rendered(chunk: Chunk, found: _Found) -> _Ready:
    declared = notifiers().get(found.event.notification_key)
    if declared is None:
        raise NotifierInvalid(
            f"this process does not know the notifier {found.event.notification_key!r}; start the worker with the module "
            "that declares it: aquila worker MODULE"
        )
    notifier = declared()
    rendered, failed = render_each(notifier, found.recipients, found.event.payload)
    if failed and not rendered:
        raise NotifierInvalid(failed[0].words)
    said = Notified(event=found.event, rendered=rendered, **notifier.planned())
    left = [one.recipient for one in failed]
    error = f"{len(left)} recipients are not told: {failed[0].words}" if failed else None
    return _Ready(chunk=chunk, revision=found.revision, said=said, left=left, error=error)


def _plan(connection: Connection, ready: _Ready, now: datetime) -> Told:
    seen = (_row(ready.chunk), fanouts.c.planned_at.is_(None), fanouts.c.revision == ready.revision)
    kept: dict[str, Any] = {"planned_at": now, "error": None}
    if ready.left:
        kept = {"recipients": [one.to_dict() for one in ready.left], "error": ready.error}
    changed = connection.execute(update(fanouts).where(*seen).values(revision=ready.revision + 1, **kept))
    # Another one was quicker.
    return add_notifications(connection, ready.said, now) if changed.rowcount == 1 else Told()


def _note_error(connection: Connection, chunk: Chunk, error: NotifierInvalid) -> None:
    """Keep why a row cannot be planned, for whoever asks."""
    unplanned = (_row(chunk), fanouts.c.planned_at.is_(None))
    connection.execute(update(fanouts).where(*unplanned).values(error=str(error)))


def _row(chunk: Chunk) -> ColumnElement[bool]:
    return and_(fanouts.c.event_id == chunk.event_id, fanouts.c.chunk == chunk.chunk)
