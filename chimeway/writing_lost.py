"""Texts whose jobs ended without a word: their workers died in the last attempt, or they were cancelled by hand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update

from chimeway import carriers
from chimeway.store import add_jobs
from chimeway.tables import deliveries, step_outputs
from chimeway.writing_results import fail_content, fail_step
from chimeway.writing_tasks import PENDING
from jobs.tables import ENDED
from jobs.tables import jobs as job_rows

#: Characters of an error that a row keeps.
ERROR_LENGTH = 1000


def settle_lost_writes(connection: Connection, now: datetime, limit: int) -> list[tuple[str, str]]:
    """End LLM steps whose jobs were discarded or cancelled, and move their runs on; give run and step of each.

    A step whose job was completed and left nothing gets another one.

    Args:
        connection: A transaction that writes.
        now: The time.
        limit: How many at most.
    """
    query = (
        select(
            step_outputs.c.run_id,
            step_outputs.c.step_key,
            step_outputs.c.carrier_id,
            job_rows.c.state,
            job_rows.c.errors,
            job_rows.c.reason,
        )
        .join(job_rows, job_rows.c.id == step_outputs.c.carrier_id)
        .where(step_outputs.c.state == "pending", job_rows.c.state.in_(ENDED))
        # In one order, so that two that do this at once do not wait for each other.
        .order_by(step_outputs.c.run_id, step_outputs.c.step_key)
        .limit(limit)
    )
    settled: list[tuple[str, str]] = []
    for run_id, step_key, carrier_id, state, errors, reason in connection.execute(query).all():
        if state == "completed":
            done = _write_again(connection, run_id, step_key, carrier_id)
        else:
            done = fail_step(connection, _why(state, errors, reason), now, run_id=run_id, step_key=step_key)
        if done:
            settled.append((run_id, step_key))
    return settled


def settle_lost_contents(connection: Connection, now: datetime, limit: int) -> list[str]:
    """Do the same for deliveries whose texts were to be written; give their ids.

    Args:
        connection: A transaction that writes.
        now: The time.
        limit: How many at most.
    """
    query = (
        select(deliveries.c.id, job_rows.c.state, job_rows.c.errors, job_rows.c.reason)
        .join(job_rows, job_rows.c.id == deliveries.c.carrier_id)
        .where(*PENDING, job_rows.c.state.in_(("discarded", "cancelled")))
        .order_by(deliveries.c.id)
        .limit(limit)
    )
    return [
        delivery_id
        for delivery_id, state, errors, reason in connection.execute(query).all()
        if fail_content(connection, _why(state, errors, reason), now, delivery_id=delivery_id)
    ]


def _write_again(connection: Connection, run_id: str, step_key: str, seen: str) -> bool:
    job = carriers.write(run_id, step_key)
    mine = (
        step_outputs.c.run_id == run_id,
        step_outputs.c.step_key == step_key,
        step_outputs.c.carrier_id == seen,
    )
    if connection.execute(update(step_outputs).where(*mine).values(carrier_id=job.job_id)).rowcount != 1:
        return False
    add_jobs(connection, [job])
    return True


def _why(state: str, errors: Sequence[Any] | None, reason: str | None) -> str:
    last = errors[-1] if errors else {}
    said = f"{last['error']}: {last.get('message', '')}" if "error" in last else reason
    return f"its job was {state}: {said}"[:ERROR_LENGTH] if said else f"its job was {state}"
