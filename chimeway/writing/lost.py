"""Texts whose jobs ended without a word: their workers died in the last attempt, or they were cancelled by hand."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, select, tuple_, update
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, InternalError

from chimeway import carriers
from chimeway.store import add_jobs
from chimeway.tables import deliveries, step_outputs
from chimeway.writing.results import fail_content, fail_step
from chimeway.writing.tasks import PENDING
from jobs.tables import ENDED
from jobs.tables import jobs as job_rows

logger = logging.getLogger("chimeway")

#: What a statement fails with because of the row that it is about; all else is the database's own failure.
_OF_A_ROW = (DataError, IntegrityError, InternalError)
#: Characters of an error that a row keeps.
ERROR_LENGTH = 1000


def settle_lost_writes(connection: Connection, now: datetime, limit: int) -> list[tuple[str, str]]:
    """End LLM steps whose jobs were discarded or cancelled, and move their runs on; give run and step of each.

    A step whose job was completed and left nothing gets another one. One that cannot be ended is passed over.

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
    )

    def settle(row: Row[Any]) -> bool:
        if row.state == "completed":
            return _write_again(connection, row.run_id, row.step_key, row.carrier_id)
        why = _why(row.state, row.errors, row.reason)
        return fail_step(connection, why, now, run_id=row.run_id, step_key=row.step_key)

    keys = (step_outputs.c.run_id, step_outputs.c.step_key)
    settled = _settle_each(connection, query, keys, limit, settle, name="workflow run {}, step {}")
    return [(row.run_id, row.step_key) for row in settled]


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
    )

    def settle(row: Row[Any]) -> bool:
        return fail_content(connection, _why(row.state, row.errors, row.reason), now, delivery_id=row.id)

    settled = _settle_each(connection, query, (deliveries.c.id,), limit, settle, name="delivery {}")
    return [row.id for row in settled]


def _settle_each(
    connection: Connection,
    query: Select[Any],
    keys: Sequence[ColumnElement[str]],
    limit: int,
    settle: Callable[[Row[Any]], bool],
    *,
    name: str,
) -> list[Row[Any]]:
    """Settle rows until so many are settled or there are no more; give those that are."""
    settled: list[Row[Any]] = []
    after = ("",) * len(keys)
    while (wanted := limit - len(settled)) > 0:
        # In one order, so that two that do this at once do not wait for each other. Those that cannot be settled come first
        # each time, so it goes on behind them.
        page = query.where(tuple_(*keys) > after).order_by(*keys).limit(wanted)
        rows = connection.execute(page).all()
        settled += [
            row for row in rows if _settle_apart(connection, row, settle, name=name.format(*row[: len(keys)]))
        ]
        if len(rows) < wanted:
            break
        after = tuple(rows[-1][: len(keys)])
    return settled


def _settle_apart(
    connection: Connection, row: Row[Any], settle: Callable[[Row[Any]], bool], *, name: str
) -> bool:
    """Settle a row in a savepoint of its own, so that one which cannot be settled takes no other with it."""
    try:
        with connection.begin_nested():
            return settle(row)
    except Exception as error:
        if isinstance(error, DBAPIError) and not isinstance(error, _OF_A_ROW):
            raise
        # What the error says may hold somebody's words.
        logger.warning("%s: its lost text cannot be settled: %s", name, type(error).__name__)
        return False


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
