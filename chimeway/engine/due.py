"""Runs that the sweep is to move on."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, and_, exists, or_, select

from chimeway.models import DeliveryStatus, RunState
from chimeway.tables import deliveries, runs, step_outputs

_OVER = [status.value for status in DeliveryStatus if status.terminal]


def due_runs(connection: Connection, now: datetime, limit: int) -> list[str]:
    """Give the ids of runs whose waits are over, those that have waited longest first."""
    query = select(runs.c.id).where(runs.c.state == RunState.WAITING.value, runs.c.due_at <= now)
    return list(connection.scalars(query.order_by(runs.c.due_at, runs.c.id).limit(limit)))


def stalled_runs(connection: Connection, before: datetime, limit: int) -> list[str]:
    """Give the ids of active runs whose steps are over, or have nothing that could end, and that nobody has moved on.

    A run moves with the news of its step, so there are some only if the process that had them could not go on with them:
    it was of an older version than the workflow, say, or could not plan the next step.

    Args:
        connection: A transaction.
        before: Runs that have moved since are left out.
        limit: How many at most.
    """
    delivery = exists().where(
        deliveries.c.run_id == runs.c.id, deliveries.c.step_key == runs.c.current_step_key
    )
    text = exists().where(
        step_outputs.c.run_id == runs.c.id, step_outputs.c.step_key == runs.c.current_step_key
    )
    delivered = delivery.where(deliveries.c.status.in_(_OVER))
    written = text.where(step_outputs.c.state != "pending")
    # A gate and an approval have neither: a run that came to one waits there since then.
    unplanned = and_(~delivery, ~text)
    mine = and_(runs.c.state == RunState.ACTIVE.value, runs.c.last_transition_at < before)
    query = select(runs.c.id).where(mine, or_(delivered, written, unplanned))
    return list(connection.scalars(query.order_by(runs.c.last_transition_at, runs.c.id).limit(limit)))
