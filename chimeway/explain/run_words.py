"""Where a workflow run stands and why, in words. Pure."""

from __future__ import annotations

from datetime import datetime

from aquila.sink.printable import one_line
from chimeway.explain.carrier_words import SHORT, by_the_sweep, due_work, later
from chimeway.explain.delivery_words import delivery_words
from chimeway.explain.explanation import Words
from chimeway.explain.run_timeline import APPROVALS, LONGEST, wait_words
from chimeway.explain.situation import RunSituation, Surroundings
from chimeway.models import RunState
from chimeway.workflow.decisions import APPROVAL_DECIDED, SIGNAL, WORKFLOW_STOPPED
from chimeway.workflow.steps import Approve


def run_words(about: RunSituation, where: Surroundings) -> Words:
    """Say where a run stands and why.

    Args:
        about: What is known of it.
        where: Who is there to do what is left.
    """
    match about.run.state:
        case RunState.WAITING:
            return _waiting(about, where)
        case RunState.ACTIVE:
            return _active(about, where)
        case RunState.COMPLETED:
            return Words(reason="workflow_completed", sentence=ended(about, where))
        case RunState.STOPPED:
            return Words(reason=str(about.run.reason or "stopped"), sentence=ended(about, where))


def ended(about: RunSituation, where: Surroundings) -> str:
    """Say how a run that is over came to its end."""
    run = about.run
    moment = where.time(run.ended_at or run.last_transition_at)
    if run.state is RunState.COMPLETED:
        return f"complete at {moment}, after the step {run.current_step_key!r}"
    word, _, said = str(run.reason or "").partition(":")
    if word == SIGNAL:
        return f"stopped at {moment} by the signal {said!r}"
    if word == WORKFLOW_STOPPED:
        return f"stopped at {moment}: the step {run.current_step_key!r} came out as {said}, at which it stops"
    if word == APPROVAL_DECIDED:
        return f"stopped at {moment}, at the step {run.current_step_key!r}: {APPROVALS.get(said, said)}"
    return f"stopped by hand at {moment}: {one_line(run.reason or 'cancelled', LONGEST)}"


def waits_for(about: RunSituation, where: Surroundings) -> str:
    """Say what a run that waits is waiting for."""
    run = about.run
    signals = _signals(about)
    until = "for ever" if run.due_at is None else f"until {where.time(run.due_at)}"
    named = " or ".join(f"{name!r}" for name in dict.fromkeys(signals))
    step = about.definition.find(run.current_step_key) if about.definition else None
    if isinstance(step, Approve):
        return f"it waits at the step {step.key!r} {until} for a person to approve what the step {step.of!r} wrote"
    listens = f" for the signal {named}" if named else ""
    return f"it waits at the step {run.current_step_key!r} {until}{listens}"


def _waiting(about: RunSituation, where: Surroundings) -> Words:
    run = about.run
    then = f", and the step {run.wait_to!r} follows" if run.wait_to else ""
    said = waits_for(about, where)
    if run.due_at is not None and run.due_at <= where.now:
        due = due_work(about.carrier, where.sweeping, where) if about.carrier else _overdue(run.due_at, where)
        sentence = f"{said}, which is over{then}: {due.sentence}"
        return Words(reason=due.reason, sentence=sentence, remedy=due.remedy)
    words = Words(
        reason=str(run.reason),
        sentence=f"{said}{then if run.due_at else ''}",
        remedy=_remedy(about),
    )
    return words if run.due_at is None else later(words, where.sweeping_itself)


def _remedy(about: RunSituation) -> str | None:
    step = about.definition.find(about.run.current_step_key) if about.definition else None
    if not isinstance(step, Approve):
        return None
    short = about.run.run_id[:SHORT]
    return f"`aquila workflow approve {short}` or `aquila workflow reject {short}`"


def _overdue(due_at: datetime, where: Surroundings) -> Words:
    return by_the_sweep(
        "wait_due", f"it was due at {where.time(due_at)}", where.sweeping_itself, does="moves it on"
    )


def _active(about: RunSituation, where: Surroundings) -> Words:
    key = about.run.current_step_key
    delivery, output = about.delivery_of(key), about.output_of(key)
    if delivery is not None and not delivery.delivery.status.terminal:
        words = delivery_words(delivery, where)
        said = f"at the step {key!r}, {delivery.delivery.channel}: {words.sentence}"
        return Words(reason=words.reason, sentence=said, remedy=words.remedy)
    if output is not None and output.state == "pending":
        due = due_work(output.carrier, where.writing, where)
        said = f"at the step {key!r}, a model is to write its text; {due.sentence}"
        return Words(reason=due.reason, sentence=said, remedy=due.remedy)
    why = "no worker that knows its workflow has moved it on"
    stands = "for which nothing is planned" if delivery is None and output is None else "which is over"
    return Words(
        reason="stalled",
        sentence=f"at the step {key!r}, {stands}, and {why}",
        remedy="start a worker of the version that stored the workflow: aquila worker MODULE",
    )


def _signals(about: RunSituation) -> tuple[str, ...]:
    waits = (wait_words(one)[2] for one in reversed(about.transitions) if "signals" in (one.context or {}))
    return next(waits, ())
