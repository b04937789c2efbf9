"""`progress_run`: moves a run on as far as it goes, in the transaction of whoever has news for it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.exc import DataError

from aquila.errors import ConfigError
from chimeway.engine.definitions import load_definition
from chimeway.engine.facts import load_facts, load_params
from chimeway.engine.moves import lock_run, make_move, note
from chimeway.errors import ChimewayError, NotificationNotFound
from chimeway.models import RunState, Signal, WorkflowRun
from chimeway.tables import transitions
from chimeway.workflow.advance import advance, hears
from chimeway.workflow.decisions import (
    MOVED_BY_OTHERS,
    RUN_NOT_FOUND,
    SIGNAL_AFTER_END,
    SIGNAL_AFTER_EXPIRY,
    UNREADABLE,
    Activate,
    Decision,
    Noop,
)
from chimeway.workflow.definition import Workflow

logger = logging.getLogger("chimeway")

#: What a run itself, or what it would plan next, can fail with.
_UNREADABLE = (
    ConfigError,
    NotificationNotFound,
    DataError,
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
)
#: How often a run that others move at the same time is read anew.
TRIES = 5


@dataclass(frozen=True, slots=True)
class Progressed:
    """What became of a run."""

    #: As it is now; None if it is not there.
    run: WorkflowRun | None
    #: The moves that were stored, in their order; last, why there are no more.
    decisions: tuple[Decision, ...]

    @property
    def reason(self) -> str:
        """The word for what was decided: that of the last move, or why there was none."""
        moves = [one for one in self.decisions if not isinstance(one, Noop)]
        return (moves or self.decisions)[-1].reason


def progress_run(
    connection: Connection, run_id: str, now: datetime, *, signal: Signal | None = None
) -> Progressed:
    """Move a run on as far as it goes.

    Nothing is raised because of the run itself, so that whoever has news for it can store those in the same transaction. If
    it cannot go on, it stays where it was, and the sweep comes back to it.

    Args:
        connection: A transaction that writes.
        run_id: The run.
        now: The time.
        signal: One that came for it, whose row is stored. One that is of no use any more is noted in the run's history.
    """
    run = lock_run(connection, run_id)
    if run is None:
        return Progressed(None, (Noop(RUN_NOT_FOUND),))
    try:
        definition = load_definition(connection, run.definition_id)
        run, decisions = _go_on(connection, definition, run, now)
    except _UNREADABLE as error:
        # Stored by a newer version, say, whose workers go on with it. What this one is about to record must not be lost.
        # Only our own errors are known to tell nothing of a payload.
        why = error if isinstance(error, ConfigError | ChimewayError) else type(error).__name__
        logger.warning("workflow run %s cannot go on here: %s", run_id, why)
        return Progressed(run, (Noop(UNREADABLE),))
    if signal is not None and all(_signal_of(one) != signal.signal_id for one in decisions):
        late = _why_late(connection, definition, run, signal)
        if late is not None:
            return Progressed(
                note(connection, run, late, signal.signal_id, now) or run, (*decisions, Noop(late))
            )
    return Progressed(run, tuple(decisions))


def listens_at_all(
    definition: Workflow, run: WorkflowRun, params: Mapping[str, Any], signal: Signal, *, since: int = 0
) -> bool:
    """Say whether a step of a workflow, from a place on, would hear a signal."""
    steps = definition.steps[since:]
    return any(hears(match, run, params, signal) for step in steps for match in step.listens)


def _go_on(
    connection: Connection, definition: Workflow, run: WorkflowRun, now: datetime
) -> tuple[WorkflowRun, list[Decision]]:
    decision = advance(definition, run, load_facts(connection, definition, run), now)
    if isinstance(decision, Noop):
        return run, [decision]
    # A move that was stored and whose step could not be planned would leave the run where nothing comes of it.
    with connection.begin_nested():
        return _moves(connection, definition, run, decision, now)


def _moves(
    connection: Connection, definition: Workflow, run: WorkflowRun, decision: Decision, now: datetime
) -> tuple[WorkflowRun, list[Decision]]:
    """Store the moves from a first one on."""
    decisions: list[Decision] = []
    tries = 0
    while True:
        if isinstance(decision, Noop):
            return run, [*decisions, decision]
        step = definition.find(decision.step_key) if isinstance(decision, Activate) else None
        moved = make_move(connection, run, decision, step, now)
        if moved is None:
            tries += 1
            seen = lock_run(connection, run.run_id)
            if seen is None or tries == TRIES:
                return run, [*decisions, Noop(MOVED_BY_OTHERS)]
            run = seen
        else:
            run = moved.run
            decisions.append(decision)
            if moved.rests:
                return run, decisions
        decision = advance(definition, run, load_facts(connection, definition, run), now)


def _why_late(connection: Connection, definition: Workflow, run: WorkflowRun, signal: Signal) -> str | None:
    params = load_params(connection, definition, run)
    if not listens_at_all(definition, run, params, signal) or _is_used(connection, run, signal):
        return None
    if run.state not in {RunState.ACTIVE, RunState.WAITING}:
        return SIGNAL_AFTER_END
    here = definition.place(run.current_step_key)
    # A wait that is still to come finds it then.
    return None if listens_at_all(definition, run, params, signal, since=here) else SIGNAL_AFTER_EXPIRY


def _is_used(connection: Connection, run: WorkflowRun, signal: Signal) -> bool:
    mine = (transitions.c.run_id == run.run_id, transitions.c.signal_id == signal.signal_id)
    return connection.execute(select(transitions.c.seq).where(*mine).limit(1)).first() is not None


def _signal_of(decision: Decision) -> str | None:
    return None if isinstance(decision, Noop) else decision.signal_id
