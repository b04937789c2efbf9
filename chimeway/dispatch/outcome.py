"""How deliveries end: the row's last move, and what follows for its workflow, in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, update

from chimeway.engine.progress import progress_run
from chimeway.models import Delivery, DeliveryStatus, Outcome
from chimeway.tables import deliveries, notifications

#: The reason of a delivery that was to be cancelled while it was being sent; its context has the word for why.
CANCEL_REQUESTED = "cancel_requested"
#: The channel whose deliveries are shown to the recipient by `chimeway.inbox`.
IN_APP = "in_app"
#: The status in which each outcome leaves the row.
STATUS = {
    Outcome.DELIVERED: DeliveryStatus.SUCCEEDED,
    Outcome.SUPPRESSED: DeliveryStatus.SUPPRESSED,
    Outcome.DIGESTED: DeliveryStatus.DIGESTED,
    Outcome.TEMPORARY_FAILURE: DeliveryStatus.FAILED,
}


def asked_to_cancel(reason: str | None, context: Mapping[str, Any] | None) -> str | None:
    """Give the word for why a delivery was to be cancelled while it was being sent; None if it was not.

    Args:
        reason: Of its row.
        context: Of its row.
    """
    return str((context or {}).get("reason") or Outcome.CANCELLED) if reason == CANCEL_REQUESTED else None


def conclude(
    connection: Connection,
    seen: Delivery,
    outcome: Outcome,
    now: datetime,
    *,
    reason: str | None = None,
    where: Sequence[Any] | None = None,
    columns: Mapping[str, Any] | None = None,
    **context: Any,
) -> bool:
    """End a delivery, and move its workflow on; False if somebody else has moved it since it was read.

    Args:
        connection: A transaction that writes.
        seen: The row, as it was read.
        outcome: How it came out; no temporary failure.
        now: The time.
        reason: Why, in a word; None if the outcome says it.
        where: When it is still ours to move; None means while it is in the status in which it was read.
        columns: What else the row is given.
        context: Facts that go with the reason, as JSON values.
    """
    mine = where if where is not None else (deliveries.c.status == seen.status.value,)
    changed = connection.execute(
        update(deliveries)
        .where(deliveries.c.id == seen.delivery_id, *mine)
        .values(
            status=STATUS.get(outcome, DeliveryStatus.CANCELLED).value,
            outcome=outcome.value,
            reason=reason or outcome.value,
            reason_context=context or None,
            terminal_at=now,
            next_attempt_at=None,
            claim_token=None,
            lease_until=None,
            updated_at=now,
            **(columns or {}),
        )
    )
    if changed.rowcount != 1:
        return False
    if outcome is Outcome.DELIVERED and seen.channel == IN_APP:
        _show(connection, seen.notification_id, now)
    if seen.run_id is not None:
        progress_run(connection, seen.run_id, now)
    return True


def _show(connection: Connection, notification_id: str, now: datetime) -> None:
    """Let the recipient's inbox have it."""
    unseen = (notifications.c.id == notification_id) & notifications.c.inbox_at.is_(None)
    connection.execute(update(notifications).where(unseen).values(inbox_at=now))
