"""`cancel_run`: a run is stopped by hand, and what it has not sent yet is taken back."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, update

from chimeway.engine.moves import lock_run, make_move
from chimeway.engine.progress import TRIES
from chimeway.models import DeliveryStatus, Outcome, RunState
from chimeway.tables import deliveries
from chimeway.workflow.decisions import StopRun


def cancel_run(connection: Connection, run_id: str, reason: str, now: datetime) -> bool:
    """Stop a run, and cancel its deliveries that nobody is sending at this moment; False if it had ended.

    Args:
        connection: A transaction that writes.
        run_id: The run.
        reason: The word for why.
        now: The time.
    """
    # Deliveries first, as whoever records one's end does: two transactions never wait for each other.
    _cancel_deliveries(connection, run_id, reason, now)
    for _ in range(TRIES):
        run = lock_run(connection, run_id)
        if run is None or run.state not in {RunState.ACTIVE, RunState.WAITING}:
            return False
        if make_move(connection, run, StopRun(reason=reason), None, now) is not None:
            # What was planned while the run was waited for.
            _cancel_deliveries(connection, run_id, reason, now)
            return True
    return False


def _cancel_deliveries(connection: Connection, run_id: str, reason: str, now: datetime) -> None:
    waiting = (DeliveryStatus.PENDING.value, DeliveryStatus.FAILED.value)
    connection.execute(
        update(deliveries)
        .where(deliveries.c.run_id == run_id, deliveries.c.status.in_(waiting))
        .values(
            status=DeliveryStatus.CANCELLED.value,
            outcome=Outcome.CANCELLED.value,
            reason=reason,
            terminal_at=now,
            next_attempt_at=None,
            updated_at=now,
        )
    )
