"""What a failed assertion says: what was sent instead, and what became of the deliveries. Ids and words, no contents."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, select

from chimeway import store
from chimeway.message import OutgoingMessage
from chimeway.models import Delivery
from chimeway.rows import as_record
from chimeway.tables import deliveries

#: Messages and deliveries that are listed.
_MOST = 10


def not_delivered(
    key: str, recipient: str, channel: str | None, *, found: int, sent: Sequence[OutgoingMessage]
) -> str:
    """Say what is there instead of the expected message.

    Args:
        key: The notifier's.
        recipient: Whom it was to reach.
        channel: Where; None means anywhere.
        found: How many there are.
        sent: All that was sent.
    """
    where = f" on {channel}" if channel else ""
    first = (
        f"{key!r} reached {recipient!r}{where} {found} times"
        if found
        else f"{key!r} did not reach {recipient!r}{where}"
    )
    planned = store.read(_deliveries, key, recipient)
    about = "; ".join(_became(one) for one in planned[:_MOST]) or "nothing was planned"
    return f"{first}; its deliveries: {about}; sent were: {said_of(sent) or 'none'}"


def said_of(sent: Sequence[OutgoingMessage]) -> str:
    """Give messages as a line: whose, to whom and where."""
    lines = [
        f"{one.notification_key!r} to {one.recipient_identity!r} on {one.channel}" for one in sent[-_MOST:]
    ]
    more = f"{len(sent) - _MOST} more, " if len(sent) > _MOST else ""
    return more + ", ".join(lines)


def _deliveries(connection: Connection, key: str, recipient: str) -> list[Delivery]:
    mine = (deliveries.c.notification_key == key, deliveries.c.recipient_identity == recipient)
    query = select(deliveries).where(*mine).order_by(deliveries.c.created_at, deliveries.c.id)
    return [as_record(Delivery, row) for row in connection.execute(query).mappings()]


def _became(one: Delivery) -> str:
    step = f" ({one.step_key})" if one.step_key else ""
    why = f", {one.reason}" if one.reason and one.reason != one.status else ""
    waits = (
        f", {one.orchestration_state}"
        if not one.status.terminal and one.orchestration_state != "ready"
        else ""
    )
    return f"{one.channel}{step} is {one.status}{waits}{why}"
