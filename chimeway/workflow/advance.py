"""`advance`: what a run does next. A pure function, so that every race comes down to who stores its answer first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from chimeway.models import RunState, Signal, WorkflowRun
from chimeway.workflow.decisions import (
    APPROVAL_DECIDED,
    PRIOR_DELIVERY_NOT_CONVERGED,
    PROGRESSED_ON_DELIVERY_OUTCOME,
    PROGRESSED_ON_STEP_OUTCOME,
    RUN_NOT_ACTIVE,
    SIGNAL,
    STEP_ACTIVATED,
    STEP_NOT_WRITTEN,
    UNKNOWN_STEP,
    WAIT_EXPIRED,
    WAIT_NOT_DUE,
    WAITING_FOR_APPROVAL,
    WAITING_FOR_STEP_PROGRESSION,
    WORKFLOW_COMPLETED,
    WORKFLOW_STOPPED,
    Activate,
    Complete,
    Decision,
    Noop,
    StopRun,
    WaitFor,
)
from chimeway.workflow.definition import Workflow
from chimeway.workflow.entering import Leaving, enter
from chimeway.workflow.facts import Facts
from chimeway.workflow.rules import On, Stop
from chimeway.workflow.signal_match import SignalMatch, approval_key, payload_matches, resolved
from chimeway.workflow.steps import APPROVED, EXPIRED, REJECTED, Approve, Deliver, Gate, Step


def advance(definition: Workflow, run: WorkflowRun, facts: Facts, now: datetime) -> Decision:
    """Decide the next move of a run.

    `On` and `Stop` go before signals, signals before a wait that is over.

    Args:
        definition: The run's workflow.
        run: The run.
        facts: What is known of it.
        now: The time.
    """
    if run.state not in {RunState.ACTIVE, RunState.WAITING}:
        return Noop(RUN_NOT_ACTIVE)
    step = definition.find(run.current_step_key)
    if step is None:
        return Noop(UNKNOWN_STEP)
    at = _At(definition, step, run, facts)
    decided = _on_outcome(at)
    if decided is not None:
        return decided
    return _while_waiting(at, now) if run.state is RunState.WAITING else _at_its_step(at)


def run_values(run: WorkflowRun, params: Mapping[str, Any]) -> dict[str, Any]:
    """Give what a `SignalMatch` may take from a run."""
    return {
        "notification_id": run.notification_id,
        "run_id": run.run_id,
        "event_id": run.event_id,
        "params": params,
    }


def hears(match: SignalMatch, run: WorkflowRun, params: Mapping[str, Any], signal: Signal) -> bool:
    """Say whether a signal is one that a run's wait gate listens to."""
    if signal.event_name != match.event_name or signal.tenant_id != run.tenant_id:
        return False
    if signal.actor_id != run.recipient_identity:
        return False
    # Of one that is about this very run the clocks of two hosts decide nothing.
    if signal.occurred_at < run.started_at and not match.is_bound:
        return False
    fields = resolved(match, run_values(run, params))
    return fields is not None and payload_matches(fields, signal.payload)


@dataclass(frozen=True, slots=True)
class _At:
    """Where a run stands."""

    definition: Workflow
    step: Step
    run: WorkflowRun
    facts: Facts

    def hears(self, match: SignalMatch, signal: Signal) -> bool:
        return hears(match, self.run, self.facts.params, signal)

    def go(self, to: str, leaving: Leaving) -> Decision:
        over = (*self.facts.waits_over, *([self.step.key] if leaving.reason == WAIT_EXPIRED else []))
        return enter(
            self.definition, to, self.run, self.facts, replace(leaving, cancel_on=_cancel_on(self, over))
        )

    def complete(self, outcome: str | None, signal_id: str | None = None) -> Decision:
        return Complete(reason=WORKFLOW_COMPLETED, outcome=outcome, signal_id=signal_id)

    def signals(self) -> Iterator[Signal]:
        # In an order of their own, so that it does not matter in which they were read.
        return iter(sorted(self.facts.signals, key=lambda one: (one.occurred_at, one.signal_id)))

    def is_due(self, now: datetime) -> bool:
        return self.run.due_at is not None and now >= self.run.due_at


def _on_outcome(at: _At) -> Decision | None:
    outcome = at.facts.outcome
    if outcome is None or isinstance(at.step, Approve | Gate):
        return None
    word = PROGRESSED_ON_DELIVERY_OUTCOME if isinstance(at.step, Deliver) else PROGRESSED_ON_STEP_OUTCOME
    rule = at.step.rule_for(outcome, converged=at.facts.converged)
    return _by_rule(at, rule, Leaving(reason=f"{word}:{outcome}", outcome=outcome))


def _by_rule(at: _At, rule: On | Stop | None, leaving: Leaving) -> Decision | None:
    if rule is None:
        return None
    if isinstance(rule, On):
        return at.go(rule.to, leaving)
    reason = f"{WORKFLOW_STOPPED}:{leaving.outcome}"
    return StopRun(reason=reason, outcome=leaving.outcome, signal_id=leaving.signal_id)


def _at_its_step(at: _At) -> Decision:
    step, run, facts = at.step, at.run, at.facts
    if isinstance(step, Approve):
        due = None if step.within is None else run.step_started_at + timedelta(seconds=step.within)
        return WaitFor(reason=WAITING_FOR_APPROVAL, due_at=due, to=None, listens=step.listens)
    if not isinstance(step, Gate) and not facts.converged:
        if not facts.is_planned:
            # Whoever brought the run here could not plan it, or what was planned is gone.
            cancel_on = _cancel_on(at, facts.waits_over)
            return Activate(step_key=step.key, reason=STEP_ACTIVATED, cancel_on=cancel_on)
        return Noop(PRIOR_DELIVERY_NOT_CONVERGED if isinstance(step, Deliver) else STEP_NOT_WRITTEN)
    if step.wait is None:
        return at.complete(facts.outcome)
    anchor = facts.converged_at if isinstance(step, Deliver) else None
    return WaitFor(
        reason=WAITING_FOR_STEP_PROGRESSION,
        outcome=facts.outcome,
        due_at=(anchor or run.step_started_at) + timedelta(seconds=step.wait.seconds),
        to=step.wait.to,
        listens=step.wait.listens,
    )


def _while_waiting(at: _At, now: datetime) -> Decision:
    if isinstance(at.step, Approve):
        return _at_approval(at, at.step, now)
    for signal in at.signals():
        decided = _on_signal(at, signal)
        if decided is not None:
            return decided
    if not at.is_due(now):
        return Noop(WAIT_NOT_DUE)
    if at.run.wait_to is None:
        return at.complete(at.facts.outcome)
    return at.go(at.run.wait_to, Leaving(reason=WAIT_EXPIRED, outcome=at.facts.outcome))


def _on_signal(at: _At, signal: Signal) -> Decision | None:
    wait, outcome = at.step.wait, at.facts.outcome
    if wait is None:
        return None
    reason = f"{SIGNAL}:{signal.event_name}"
    if any(at.hears(match, signal) for match in wait.cancel_on):
        return StopRun(reason=reason, outcome=outcome, signal_id=signal.signal_id)
    to = next((to for match, to in wait.on_signal if at.hears(match, signal)), None)
    return (
        None if to is None else at.go(to, Leaving(reason=reason, outcome=outcome, signal_id=signal.signal_id))
    )


def _at_approval(at: _At, step: Approve, now: datetime) -> Decision:
    # A signal of this name that did not come by the decision's own way is somebody's claim.
    key = approval_key(at.run.run_id, step.key)
    for signal in at.signals():
        said = signal.payload.get("decision")
        if (
            signal.dedup_key == key
            and said in (APPROVED, REJECTED)
            and any(at.hears(match, signal) for match in step.listens)
        ):
            return _decided(at, str(said), signal.signal_id)
    return _decided(at, EXPIRED, None) if at.is_due(now) else Noop(WAIT_NOT_DUE)


def _decided(at: _At, outcome: str, signal_id: str | None) -> Decision:
    leaving = Leaving(reason=f"{APPROVAL_DECIDED}:{outcome}", outcome=outcome, signal_id=signal_id)
    followed = _by_rule(at, at.step.rule_for(outcome), leaving)
    if followed is not None or outcome == APPROVED:
        return followed or at.complete(outcome, signal_id)
    # What nobody has approved does not come to a good end.
    return StopRun(reason=leaving.reason, outcome=outcome, signal_id=signal_id)


def _cancel_on(at: _At, over: Sequence[str]) -> tuple[dict[str, Any], ...]:
    """Give the signals that take back what is planned now: those that would have stopped the waits that led to it."""
    waits = (step.wait for step in at.definition.steps if step.key in over)
    matches = dict.fromkeys(match for wait in waits if wait is not None for match in wait.cancel_on)
    known = run_values(at.run, at.facts.params)
    found = ((match.event_name, resolved(match, known)) for match in matches)
    return tuple({"event": name, "match": dict(fields)} for name, fields in found if fields is not None)
