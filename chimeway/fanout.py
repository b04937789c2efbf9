"""Events of many recipients: they are stored a few hundred in a row, and planned by jobs, one for each row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from chimeway import carriers
from chimeway.errors import ChimewayError, NotifierInvalid
from chimeway.models import Event
from chimeway.notifying import Notified, Told, add_notifications
from chimeway.recipient import Recipient
from chimeway.registry import notifiers
from chimeway.rendering import render
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
                "carrier_id": None if here else jobs[number].job_id,
            }
            for number, part in enumerate(parts)
        ],
    )
    add_jobs(connection, jobs)
    return [Chunk(event.event_id, number) for number in range(len(parts))]


def plan_chunk(connection: Connection, chunk: Chunk, now: datetime) -> Told:
    """Plan the recipients of one row; nothing if they are planned.

    Raises:
        NotifierInvalid: This process does not know the notifier, or it cannot render a content.
    """
    which = (fanouts.c.event_id == chunk.event_id) & (fanouts.c.chunk == chunk.chunk)
    unplanned = which & fanouts.c.planned_at.is_(None)
    if connection.execute(update(fanouts).where(unplanned).values(planned_at=now, error=None)).rowcount != 1:
        return Told()
    stored = connection.execute(select(fanouts.c.recipients).where(which)).scalar_one()
    event = get_event(connection, chunk.event_id)
    declared = notifiers().get(event.notification_key)
    if declared is None:
        raise NotifierInvalid(
            f"this process does not know the notifier {event.notification_key!r}; start the worker with the module that "
            "declares it: aquila worker MODULE"
        )
    notifier = declared()
    recipients = [Recipient.from_dict(one) for one in stored]
    said = Notified(event=event, rendered=render(notifier, recipients, event.payload), **notifier.planned())
    return add_notifications(connection, said, now)


def note_error(connection: Connection, chunk: Chunk, error: ChimewayError) -> None:
    """Keep why a row cannot be planned, for whoever asks."""
    which = (fanouts.c.event_id == chunk.event_id) & (fanouts.c.chunk == chunk.chunk)
    connection.execute(update(fanouts).where(which, fanouts.c.planned_at.is_(None)).values(error=str(error)))
