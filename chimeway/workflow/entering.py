"""Coming to a step: its condition is looked at, and steps whose conditions do not hold are passed over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chimeway.models import WorkflowRun
from chimeway.workflow.conditions import holds
from chimeway.workflow.decisions import (
    WORKFLOW_COMPLETED,
    WORKFLOW_STOPPED,
    Activate,
    Complete,
    StopRun,
)
from chimeway.workflow.definition import Workflow
from chimeway.workflow.facts import Facts, StepResult
from chimeway.workflow.rules import Stop
from chimeway.workflow.steps import SKIPPED, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaving:
    """Why a step is left."""

    reason: str
    outcome: str | None = None
    signal_id: str | None = None
    cancel_on: Sequence[Mapping[str, Any]] = ()


def begin(
    definition: Workflow, run: WorkflowRun, facts: Facts, *, reason: str
) -> Activate | Complete | StopRun:
    """Decide the first move of a run.

    Args:
        definition: The run's workflow.
        run: The run, at its first step.
        facts: What conditions may ask about.
        reason: The word for it.
    """
    return enter(definition, definition.steps[0].key, run, facts, Leaving(reason=reason))


def enter(
    definition: Workflow, to: str, run: WorkflowRun, facts: Facts, leaving: Leaving
) -> Activate | Complete | StopRun:
    """Decide what becomes of a run that comes to a step.

    Args:
        definition: The run's workflow.
        to: The step.
        run: The run, at the step that it leaves.
        facts: What is known of it.
        leaving: Why it leaves that.
    """
    skipped: list[str] = []
    step = definition.find(to)
    while step is not None and not _has_its_turn(step, run, facts, leaving, skipped):
        skipped.append(step.key)
        rule = step.rule_for(SKIPPED)
        if isinstance(rule, Stop):
            reason = f"{WORKFLOW_STOPPED}:{SKIPPED}"
            return StopRun(
                reason=reason, outcome=leaving.outcome, signal_id=leaving.signal_id, skipped=tuple(skipped)
            )
        if rule is not None:
            step = definition.find(rule.to)
        elif step.wait is not None:
            step = None if step.wait.to is None else definition.find(step.wait.to)
        else:
            step = definition.after(step.key)
    if step is None:
        return Complete(
            reason=WORKFLOW_COMPLETED,
            outcome=leaving.outcome,
            signal_id=leaving.signal_id,
            skipped=tuple(skipped),
        )
    return Activate(
        step_key=step.key,
        reason=leaving.reason,
        outcome=leaving.outcome,
        signal_id=leaving.signal_id,
        cancel_on=leaving.cancel_on,
        skipped=tuple(skipped),
    )


def _has_its_turn(
    step: Step, run: WorkflowRun, facts: Facts, leaving: Leaving, skipped: Sequence[str]
) -> bool:
    if step.condition is None:
        return True
    results = {key: result.view() for key, result in facts.steps.items()}
    if leaving.outcome is not None:
        output = facts.steps.get(run.current_step_key, StepResult()).output
        results[run.current_step_key] = StepResult(outcome=leaving.outcome, output=output).view()
    results |= {key: StepResult(outcome=SKIPPED).view() for key in skipped}
    recipient = {
        "identity": run.recipient_identity,
        "recipient_type": facts.recipient_type,
        "addresses": facts.addresses,
    }
    view = {
        "params": facts.params,
        "recipient": recipient,
        "steps": results,
        "notification": {"seen": facts.seen, "read": facts.read},
    }
    return holds(step.condition, view)
