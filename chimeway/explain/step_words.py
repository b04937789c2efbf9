"""Where each step of a run stands, also those that nothing was planned for: why not. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from chimeway.explain.carrier_words import due_work
from chimeway.explain.delivery_words import delivery_words
from chimeway.explain.explanation import StepExplanation, Words
from chimeway.explain.run_timeline import cause_words
from chimeway.explain.run_words import ended, waits_for
from chimeway.explain.situation import RunSituation, StepOutput, Surroundings, Transition
from chimeway.models import RunState
from chimeway.workflow import Deliver, Workflow
from chimeway.workflow.decisions import STEP_SKIPPED
from chimeway.workflow.steps import WRITERS, Step


def step_explanations(about: RunSituation, where: Surroundings) -> Sequence[StepExplanation]:
    """Say where each step stands; nothing if this version cannot read the workflow."""
    definition = about.definition
    if definition is None:
        return ()
    return tuple(_step(about, definition, step, where) for step in definition.steps)


def _step(about: RunSituation, definition: Workflow, step: Step, where: Surroundings) -> StepExplanation:
    delivery, output = about.delivery_of(step.key), about.output_of(step.key)
    if delivery is not None:
        words = Words(
            reason=delivery.delivery.status.value, sentence=delivery_words(delivery, where).sentence
        )
    elif output is not None and isinstance(step, WRITERS):
        words = _text(output, where)
    else:
        words = _without_a_row(about, definition, step, where)
    return StepExplanation(
        step_key=step.key,
        kind=step.kind,
        channel=step.channel if isinstance(step, Deliver) else None,
        state=words.reason,
        summary=words.sentence,
        delivery_id=delivery.delivery.delivery_id if delivery else None,
    )


def _text(output: StepOutput, where: Surroundings) -> Words:
    if output.state == "pending":
        due = due_work(output.carrier, where.writing, where)
        return Words(reason="pending", sentence=f"a model is to write its text; {due.sentence}")
    moment = where.time(output.ended_at or output.created_at)
    said = (
        f"a model wrote its text by {moment}"
        if output.state == "written"
        else f"its text could not be written, {moment}"
    )
    return Words(reason=output.state, sentence=said)


def _without_a_row(about: RunSituation, definition: Workflow, step: Step, where: Surroundings) -> Words:
    skipped = _last(about, step.key, skipped=True)
    if skipped is not None:
        moment = where.time(skipped.created_at)
        return Words(reason="skipped", sentence=f"skipped at {moment}: its condition did not hold")
    run = about.run
    if _last(about, step.key, skipped=False) is not None:
        return _entered(about, step, where)
    jump = _jump_over(about, definition, step)
    if jump is not None:
        why = cause_words(jump) or "the workflow went on"
        return Words(
            reason="passed_over", sentence=f"passed over: {why}, and the step {jump.step_key!r} followed"
        )
    if run.state in {RunState.COMPLETED, RunState.STOPPED}:
        return Words(reason="never", sentence=f"never planned: the workflow was {ended(about, where)}")
    now = (
        waits_for(about, where)
        if run.state is RunState.WAITING
        else f"the step {run.current_step_key!r} before it is not over"
    )
    return Words(reason="ahead", sentence=f"not planned yet: {now}")


def _entered(about: RunSituation, step: Step, where: Surroundings) -> Words:
    run = about.run
    if run.current_step_key != step.key or run.state in {RunState.COMPLETED, RunState.STOPPED}:
        left = next(
            (
                one
                for one in about.transitions
                if (one.context or {}).get("from") == step.key and cause_words(one)
            ),
            None,
        )
        why = f": {cause_words(left)}" if left is not None else ""
        return Words(reason="passed", sentence=f"its turn is over{why}")
    if run.state is RunState.WAITING:
        return Words(reason="waiting", sentence=waits_for(about, where))
    return Words(reason="active", sentence="it is its turn")


def _last(about: RunSituation, key: str, *, skipped: bool) -> Transition | None:
    moves = (one for one in reversed(about.transitions) if one.step_key == key)
    return next((one for one in moves if (one.reason == STEP_SKIPPED) == skipped), None)


def _jump_over(about: RunSituation, definition: Workflow, step: Step) -> Transition | None:
    place = definition.place(step.key)
    for one in about.transitions:
        left = (one.context or {}).get("from")
        if left is not None and definition.place(left) < place < definition.place(one.step_key):
            return one
    return None
