"""What is known of a run, read in its transaction: only what its workflow asks about."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Text, and_, cast, or_, select

from chimeway.engine.history import waits_over
from chimeway.models import DeliveryStatus, RunState, Signal, WorkflowRun
from chimeway.rows import as_record, get_event, get_notification
from chimeway.tables import deliveries, signals, step_outputs, transitions
from chimeway.workflow.advance import run_values
from chimeway.workflow.definition import Workflow
from chimeway.workflow.facts import Facts, StepResult
from chimeway.workflow.signal_match import SignalMatch, resolved
from chimeway.workflow.steps import FAILED, WRITERS, WRITTEN, Deliver, Step

#: How far the clocks of two hosts may be apart for signals that name the very run.
SKEW = timedelta(days=1)
#: Numbers below it have few forms as texts.
_PLAIN_NUMBER = 10**15
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def load_facts(connection: Connection, definition: Workflow, run: WorkflowRun) -> Facts:
    """Read what is known of a run.

    Args:
        connection: The run's transaction.
        definition: Its workflow.
        run: The run.

    Raises:
        NotificationNotFound: Its notification is not there.
    """
    step = definition.find(run.current_step_key)
    if step is None:
        return Facts()
    context = _context(connection, definition, run)
    heard: list[Signal] = []
    if run.state is RunState.WAITING and step.listens:
        heard = _signals(connection, step, run, context.get("params", {}))
    about = _of_the_step(connection, step, run)
    over: tuple[str, ...] = ()
    if not isinstance(step, Deliver) or not about.get("is_planned", True):
        over = _waits_over(connection, definition, run)
    return Facts(**about, **context, signals=heard, waits_over=over)


def load_params(connection: Connection, definition: Workflow, run: WorkflowRun) -> Mapping[str, Any]:
    """Read the parameters of the trigger, if the workflow asks about them."""
    if not (definition.needs_params or definition.has_conditions):
        return {}
    return get_event(connection, run.event_id).payload


def _of_the_step(connection: Connection, step: Step, run: WorkflowRun) -> dict[str, Any]:
    if isinstance(step, Deliver):
        return _of_a_delivery(connection, step, run)
    return _of_a_text(connection, step, run) if isinstance(step, WRITERS) else {}


def _waits_over(connection: Connection, definition: Workflow, run: WorkflowRun) -> tuple[str, ...]:
    earlier = definition.steps[: definition.place(run.current_step_key)]
    if not any(step.wait is not None and step.wait.cancel_on for step in earlier):
        return ()
    mine = select(transitions.c.reason, transitions.c.context).where(transitions.c.run_id == run.run_id)
    rows = connection.execute(mine.order_by(transitions.c.seq))
    return waits_over(definition, ((reason, context) for reason, context in rows))


def _of_a_delivery(connection: Connection, step: Deliver, run: WorkflowRun) -> dict[str, Any]:
    query = select(deliveries.c.status, deliveries.c.outcome, deliveries.c.terminal_at).where(
        deliveries.c.notification_id == run.notification_id,
        deliveries.c.channel == step.channel,
        deliveries.c.step_key == step.key,
    )
    found = connection.execute(query).first()
    if found is None:
        return {"is_planned": False}
    over = DeliveryStatus(found.status).terminal
    return {"outcome": found.outcome, "converged": over, "converged_at": found.terminal_at}


def _of_a_text(connection: Connection, step: Step, run: WorkflowRun) -> dict[str, Any]:
    query = select(step_outputs.c.state, step_outputs.c.ended_at).where(
        step_outputs.c.run_id == run.run_id, step_outputs.c.step_key == step.key
    )
    found = connection.execute(query).first()
    if found is None:
        return {"is_planned": False}
    over = found.state in {WRITTEN, FAILED}
    return {"outcome": found.state if over else None, "converged": over, "converged_at": found.ended_at}


def _context(connection: Connection, definition: Workflow, run: WorkflowRun) -> dict[str, Any]:
    if not definition.has_conditions:
        return {"params": load_params(connection, definition, run)}
    notification = get_notification(connection, run.notification_id)
    return {
        "params": load_params(connection, definition, run),
        "recipient_type": notification.recipient_type,
        "addresses": notification.addresses,
        "seen": notification.seen_at is not None,
        "read": notification.read_at is not None,
        "steps": _step_results(connection, run.run_id),
    }


def _step_results(connection: Connection, run_id: str) -> dict[str, StepResult]:
    outcomes: dict[str, str] = {}
    query = select(transitions.c.context).where(transitions.c.run_id == run_id).order_by(transitions.c.seq)
    for context in connection.scalars(query):
        if context and context.get("outcome"):
            outcomes[context["from"]] = context["outcome"]
    # What became of a delivery after it was left counts, too: a late bounce.
    delivered = select(deliveries.c.step_key, deliveries.c.outcome).where(deliveries.c.run_id == run_id)
    outcomes |= {key: outcome for key, outcome in connection.execute(delivered) if outcome}
    written = select(step_outputs.c.step_key, step_outputs.c.output).where(step_outputs.c.run_id == run_id)
    outputs = {str(key): output for key, output in connection.execute(written)}
    keys = {*outcomes, *outputs}
    return {key: StepResult(outcome=outcomes.get(key), output=outputs.get(key)) for key in keys}


def _signals(connection: Connection, step: Step, run: WorkflowRun, params: Mapping[str, Any]) -> list[Signal]:
    wanted = [clause for match in step.listens if (clause := _matching(match, run, params)) is not None]
    if not wanted:
        return []
    used = select(transitions.c.signal_id).where(
        transitions.c.run_id == run.run_id, transitions.c.signal_id == signals.c.id
    )
    mine = (signals.c.tenant_id == run.tenant_id, signals.c.actor_id == run.recipient_identity)
    query = select(signals).where(*mine, or_(*wanted), ~used.exists())
    return [as_record(Signal, row) for row in connection.execute(query).mappings()]


def _matching(match: SignalMatch, run: WorkflowRun, params: Mapping[str, Any]) -> ColumnElement[bool] | None:
    """Narrow the signals down; `advance` looks at each once more."""
    fields = resolved(match, run_values(run, params))
    if fields is None:
        return None
    since = run.started_at - SKEW if match.is_bound else run.started_at
    texts = {name: _as_texts(value) for name, value in fields.items() if _PLAIN_NAME.fullmatch(name)}
    return and_(
        signals.c.event_name == match.event_name,
        signals.c.occurred_at >= since,
        # As texts: PostgreSQL fails to read "abc" as a number, and SQLite has no text that equals one.
        *(
            cast(signals.c.payload[name].as_string(), Text).in_(forms)
            for name, forms in texts.items()
            if forms
        ),
    )


def _as_texts(value: Any) -> tuple[str, ...]:
    """Give every text that a database may give for a JSON value; none if there are too many."""
    if isinstance(value, str):
        return (value,)
    if isinstance(value, bool):
        # SQLite has no truth of its own.
        return (str(value).lower(), str(int(value)))
    if isinstance(value, int | float) and value == value // 1 and abs(value) < _PLAIN_NUMBER:
        return (str(int(value)), f"{int(value)}.0", "-0.0")
    return ()
