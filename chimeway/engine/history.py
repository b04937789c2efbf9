"""The rows of a run's history, as values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from chimeway.models import RunState, WorkflowRun
from chimeway.workflow.decisions import STEP_SKIPPED, WAIT_EXPIRED, Move, WaitFor
from chimeway.workflow.definition import Workflow
from chimeway.workflow.steps import SKIPPED, Deliver


def first_row(run: WorkflowRun, delivery_id: str | None) -> dict[str, Any]:
    """Give the first row of a run's history.

    Args:
        run: As it begins.
        delivery_id: What was planned for its first step.
    """
    row = row_of(run, run.revision, None, str(run.reason), run.started_at)
    return {**row, "delivery_id": delivery_id}


def rows_of_move(
    before: WorkflowRun, after: WorkflowRun, move: Move, delivery_id: str | None
) -> list[dict[str, Any]]:
    """Give what a move adds: a row for each step that it passes over, and one for where it comes to.

    Args:
        before: The run as it was.
        after: The run as it is.
        move: What brought it there.
        delivery_id: What was planned for the step that it comes to.
    """
    now, state = after.last_transition_at, before.state
    rows = []
    for number, key in enumerate(move.skipped, start=1):
        passing = after.evolve(state=RunState.ACTIVE, current_step_key=key)
        context = {"from": key, "outcome": SKIPPED}
        row = row_of(passing, before.revision + number, state, STEP_SKIPPED, now)
        rows.append({**row, "context": context})
        state = RunState.ACTIVE
    last = row_of(after, after.revision, state, move.reason, now)
    ids = {"signal_id": move.signal_id, "delivery_id": delivery_id}
    return [*rows, {**last, **ids, "context": _context(before, move)}]


def waits_over(
    definition: Workflow, moves: Iterable[tuple[str, Mapping[str, Any] | None]]
) -> tuple[str, ...]:
    """Give the steps whose waits ended by time since a delivery was last left.

    Args:
        definition: The run's workflow.
        moves: Reasons and contexts of the run's history, in its order.
    """
    over: list[str] = []
    for reason, context in moves:
        left = None if context is None or reason == STEP_SKIPPED else definition.find(context["from"])
        if isinstance(left, Deliver):
            # It carried what led to it.
            over.clear()
        if left is not None and reason == WAIT_EXPIRED:
            over.append(left.key)
    return tuple(over)


def row_of(
    run: WorkflowRun, seq: int, from_state: RunState | None, reason: str, now: datetime
) -> dict[str, Any]:
    """Give one row: where a run stands, and why."""
    return {
        "run_id": run.run_id,
        "seq": seq,
        "from_state": None if from_state is None else from_state.value,
        "to_state": run.state.value,
        "step_key": run.current_step_key,
        "reason": reason,
        "delivery_id": None,
        "signal_id": None,
        "context": None,
        "created_at": now,
    }


def _context(before: WorkflowRun, move: Move) -> Mapping[str, Any]:
    left: dict[str, Any] = {"from": before.current_step_key, "outcome": move.outcome}
    if not isinstance(move, WaitFor):
        return left
    signals = [match.event_name for match in move.listens]
    due = None if move.due_at is None else move.due_at.isoformat()
    return {**left, "due_at": due, "to": move.to, "signals": signals}
