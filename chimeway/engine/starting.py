"""How runs begin: in the transaction that plans their notifications, with few statements for many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert

from chimeway.engine.definitions import store_definition
from chimeway.engine.history import first_row
from chimeway.engine.moves import make_move, take_up
from chimeway.engine.progress import progress_run
from chimeway.models import Event, Notification, WorkflowRun
from chimeway.planning import PlanOptions, Wanted, plan_deliveries
from chimeway.rows import get_event, get_run
from chimeway.tables import runs, transitions
from chimeway.workflow.decisions import STEP_ACTIVATED, WORKFLOW_STARTED, Activate, Complete, StopRun
from chimeway.workflow.definition import Workflow
from chimeway.workflow.entering import begin
from chimeway.workflow.facts import Facts
from chimeway.workflow.steps import WRITERS, Deliver
from jobs.rows import new_id


@dataclass(frozen=True, slots=True)
class _Beginning:
    """A run that is about to begin, and its first move."""

    run: WorkflowRun
    notification: Notification
    first: Activate | Complete | StopRun

    @property
    def is_straight(self) -> bool:
        """Whether the first step is the one whose turn has come."""
        return isinstance(self.first, Activate) and not self.first.skipped


def start_run(
    connection: Connection,
    *,
    notification: Notification,
    workflow: Workflow,
    payload: Mapping[str, Any],
    now: datetime,
) -> WorkflowRun:
    """Begin the run of one notification; see `start_runs`.

    Args:
        connection: A transaction that writes; notification and event are stored in it.
        notification: One that has no run yet.
        workflow: What it goes through.
        payload: The parameters of the trigger.
        now: The time.

    Raises:
        WorkflowConflict: The workflow's version is stored with other steps.
    """
    event = get_event(connection, notification.event_id).evolve(payload=payload)
    return start_runs(connection, event=event, notifications=[notification], workflow=workflow, now=now)[0]


def start_runs(
    connection: Connection,
    *,
    event: Event,
    notifications: Sequence[Notification],
    workflow: Workflow,
    now: datetime,
) -> list[WorkflowRun]:
    """Begin the runs of an event's notifications; plan only what their first steps need; give them in the same order.

    The workflow is stored with the first of its runs.

    Args:
        connection: A transaction that writes; notifications and event are stored in it.
        event: The event.
        notifications: Those that have no run yet.
        workflow: What they go through.
        now: The time.

    Raises:
        WorkflowConflict: The workflow's version is stored with other steps; nothing is stored then.
    """
    if not notifications:
        return []
    definition_id = store_definition(connection, workflow, now)
    beginnings = [_beginning(event, one, workflow, definition_id, now) for one in notifications]
    connection.execute(insert(runs), [_columns(one.run) for one in beginnings])
    planned = _plan(connection, event, workflow, [one for one in beginnings if one.is_straight], now)
    history = [first_row(one.run, planned.get(one.run.run_id, (None, False))[0]) for one in beginnings]
    connection.execute(insert(transitions), history)
    started: list[WorkflowRun] = []
    for one in beginnings:
        _delivery_id, rests = planned.get(one.run.run_id, (None, False))
        started.append(one.run if rests else _go_on(connection, workflow, one, now))
    return started


def _beginning(
    event: Event, notification: Notification, workflow: Workflow, definition_id: str, now: datetime
) -> _Beginning:
    run = WorkflowRun(
        run_id=new_id(),
        tenant_id=notification.tenant_id,
        notification_id=notification.notification_id,
        event_id=event.event_id,
        recipient_identity=notification.recipient_identity,
        definition_id=definition_id,
        workflow_key=workflow.key,
        workflow_version=workflow.version,
        current_step_key=workflow.steps[0].key,
        reason=WORKFLOW_STARTED,
        revision=1,
        started_at=now,
        step_started_at=now,
        last_transition_at=now,
    )
    facts = Facts(
        params=event.payload,
        recipient_type=notification.recipient_type,
        addresses=notification.addresses,
        seen=notification.seen_at is not None,
        read=notification.read_at is not None,
    )
    return _Beginning(run, notification, begin(workflow, run, facts, reason=STEP_ACTIVATED))


def _plan(
    connection: Connection, event: Event, workflow: Workflow, straight: Sequence[_Beginning], now: datetime
) -> dict[str, tuple[str | None, bool]]:
    """Do what the first step needs; give its delivery, and whether the run rests until that is over, by run."""
    step = workflow.steps[0]
    if isinstance(step, WRITERS):
        return {one.run.run_id: take_up(connection, one.run, step, (), now) for one in straight}
    if not isinstance(step, Deliver):
        return {}
    options = PlanOptions.from_dict(event.options)
    wanted = [
        Wanted(
            notification=one.notification,
            channel=step.channel,
            category=event.category,
            options=options,
            payload=event.payload,
            step_key=step.key,
            run_id=one.run.run_id,
        )
        for one in straight
    ]
    planned = zip(straight, plan_deliveries(connection, wanted, now), strict=True)
    return {one.run.run_id: (delivery.delivery_id, not delivery.status.terminal) for one, delivery in planned}


def _go_on(connection: Connection, workflow: Workflow, one: _Beginning, now: datetime) -> WorkflowRun:
    if not one.is_straight:
        step = workflow.find(one.first.step_key) if isinstance(one.first, Activate) else None
        moved = make_move(connection, one.run, one.first, step, now)
        if moved is not None and moved.rests:
            return moved.run
    return progress_run(connection, one.run.run_id, now).run or get_run(connection, one.run.run_id)


def _columns(run: WorkflowRun) -> dict[str, Any]:
    names = (name for name in run.__dataclass_fields__ if name != "run_id")
    return {"id": run.run_id, **{name: getattr(run, name) for name in names}, "state": run.state.value}
