"""Moves of a run, stored: the run itself by compare-and-set, its history, and what the step it comes to needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from chimeway import carriers
from chimeway.engine.history import row_of, rows_of_move
from chimeway.models import RunState, WorkflowRun
from chimeway.planning import plan_delivery
from chimeway.rows import as_record
from chimeway.store import add_jobs
from chimeway.tables import run_waits, runs, step_outputs, transitions
from chimeway.workflow.decisions import Activate, Complete, Move, StopRun, WaitFor
from chimeway.workflow.steps import WRITERS, Deliver, Step
from jobs.new_job import NewJob
from jobs.sqltypes import insert_into

#: A wait as short as this has a job of its own; the sweep, which runs each minute, ends the longer ones.
SHORT = timedelta(seconds=60)
#: How much later such a job comes: one that came a moment too early would find nothing to do.
MARGIN = timedelta(milliseconds=50)


@dataclass(frozen=True, slots=True)
class Moved:
    """A run after a move."""

    run: WorkflowRun
    #: Whether nothing more can be decided in this transaction.
    rests: bool


def lock_run(connection: Connection, run_id: str) -> WorkflowRun | None:
    """Read a run, and keep it from others until the transaction is over; None if there is none.

    SQLite locks nothing here: there the whole file is ours, or the compare-and-set tells.
    """
    query = select(runs).where(runs.c.id == run_id).with_for_update()
    row = connection.execute(query).mappings().first()
    return None if row is None else as_record(WorkflowRun, row)


def make_move(
    connection: Connection,
    run: WorkflowRun,
    decision: Move,
    step: Step | None,
    now: datetime,
) -> Moved | None:
    """Store a move of a run; None if somebody else has moved it since it was read, and nothing is stored.

    Args:
        connection: A transaction that writes.
        run: As it was read.
        decision: The move.
        step: The step that its turn comes of, for `Activate`.
        now: The time.
    """
    job = _timed(run, decision, now)
    changes = _changes(run, decision, now)
    if job is not None:
        changes["carrier_id"] = job.job_id
    after = _compare_and_set(connection, run, changes)
    if after is None:
        return None
    if run.state is RunState.WAITING:
        connection.execute(delete(run_waits).where(run_waits.c.run_id == run.run_id))
    if isinstance(decision, WaitFor):
        _listen(connection, after, decision)
    if job is not None:
        add_jobs(connection, [job])
    delivery_id, rests = None, isinstance(decision, Complete | StopRun)
    if isinstance(decision, Activate) and step is not None:
        delivery_id, rests = take_up(connection, after, step, decision.cancel_on, now)
    connection.execute(insert(transitions), rows_of_move(run, after, decision, delivery_id))
    return Moved(after, rests)


def take_up(
    connection: Connection,
    run: WorkflowRun,
    step: Step,
    cancel_on: Sequence[Mapping[str, Any]],
    now: datetime,
) -> tuple[str | None, bool]:
    """Do what a step needs whose turn has come; give its delivery's id, and whether the run rests until that is over."""
    if isinstance(step, Deliver):
        planned = plan_delivery(
            connection,
            notification_id=run.notification_id,
            channel=step.channel,
            step_key=step.key,
            run=run,
            cancel_on=cancel_on or None,
            now=now,
        )
        return planned.delivery_id, not planned.status.terminal
    if isinstance(step, WRITERS):
        job = carriers.write(run.run_id, step.key)
        row = {"run_id": run.run_id, "step_key": step.key, "state": "pending", "carrier_id": job.job_id}
        added = insert_into(connection, step_outputs).values(**row, created_at=now).on_conflict_do_nothing()
        # Not its row count, which PostgreSQL's driver does not tell of an INSERT.
        if connection.execute(added.returning(step_outputs.c.step_key)).first() is not None:
            add_jobs(connection, [job])
        return None, True
    return None, False


def note(
    connection: Connection, run: WorkflowRun, reason: str, signal_id: str, now: datetime
) -> WorkflowRun | None:
    """Write into a run's history that a signal came which moves nothing; None if somebody else has moved the run."""
    after = _compare_and_set(connection, run, {"revision": run.revision + 1})
    if after is not None:
        row = row_of(after, after.revision, run.state, reason, now)
        connection.execute(insert(transitions), [{**row, "signal_id": signal_id}])
    return after


def _compare_and_set(
    connection: Connection, run: WorkflowRun, changes: Mapping[str, Any]
) -> WorkflowRun | None:
    seen = (runs.c.id == run.run_id, runs.c.revision == run.revision)
    stored = {name: value.value if isinstance(value, RunState) else value for name, value in changes.items()}
    changed = connection.execute(update(runs).where(*seen).values(**stored))
    return run.evolve(**changes) if changed.rowcount == 1 else None


def _changes(run: WorkflowRun, decision: Move, now: datetime) -> dict[str, Any]:
    changes: dict[str, Any] = {
        "reason": decision.reason,
        "revision": run.revision + len(decision.skipped) + 1,
        "last_transition_at": now,
        "due_at": None,
        "wait_to": None,
        "carrier_id": None,
    }
    match decision:
        case Activate(step_key=key):
            changes |= {"state": RunState.ACTIVE, "current_step_key": key, "step_started_at": now}
        case WaitFor(due_at=due, to=to):
            changes |= {
                "state": RunState.WAITING,
                "due_at": due,
                "wait_to": to,
                "wait_epoch": run.wait_epoch + 1,
            }
        case Complete():
            changes |= {"state": RunState.COMPLETED, "ended_at": now}
        case StopRun():
            changes |= {"state": RunState.STOPPED, "ended_at": now}
    return changes


def _timed(run: WorkflowRun, decision: object, now: datetime) -> NewJob | None:
    if not isinstance(decision, WaitFor) or decision.due_at is None:
        return None
    # One that is over already ends in the transaction that began it.
    if not now < decision.due_at <= now + SHORT:
        return None
    return carriers.progress(run.run_id, at=decision.due_at + MARGIN)


def _listen(connection: Connection, run: WorkflowRun, decision: WaitFor) -> None:
    common = {
        "run_id": run.run_id,
        "tenant_id": run.tenant_id,
        "actor_id": run.recipient_identity,
        "wait_epoch": run.wait_epoch,
    }
    names = dict.fromkeys(match.event_name for match in decision.listens)
    if names:
        connection.execute(insert(run_waits), [{**common, "event_name": name} for name in names])
