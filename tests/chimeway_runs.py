"""Workflow runs as values, for tests that need no database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from chimeway.models import RunState, Signal, WorkflowRun
from chimeway.workflow.facts import Facts

START = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
READ = "chimeway.notification.read"


def after(**time: float) -> datetime:
    return START + timedelta(**time)


def a_run(step: str, **facts: Any) -> WorkflowRun:
    plain: dict[str, Any] = {
        "run_id": "run",
        "notification_id": "note",
        "event_id": "event",
        "recipient_identity": "ada",
        "definition_id": "definition",
        "workflow_key": "w",
        "workflow_version": 1,
        "started_at": START,
        "step_started_at": START,
        "last_transition_at": START,
    }
    return WorkflowRun(**{**plain, "current_step_key": step, **facts})


def waiting(step: str, *, to: str | None, due_at: datetime | None = None, **facts: Any) -> WorkflowRun:
    return a_run(step, state=RunState.WAITING, wait_to=to, due_at=due_at, wait_epoch=1, **facts)


def a_signal(name: str, **facts: Any) -> Signal:
    plain: dict[str, Any] = {"signal_id": "signal", "actor_id": "ada", "occurred_at": after(minutes=1)}
    return Signal(**{**plain, "event_name": name, **facts})


def came_out(outcome: str, **facts: Any) -> Facts:
    return Facts(**{"outcome": outcome, "converged": True, "converged_at": START, **facts})
