"""What happened to a workflow run. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from aquila.sink.printable import one_line
from chimeway.explain.explanation import Entry
from chimeway.explain.ordering import MOVE, SIGNAL_BEFORE, Placed
from chimeway.explain.situation import RunSituation, Transition
from chimeway.models import Signal
from chimeway.workflow.decisions import (
    APPROVAL_DECIDED,
    PROGRESSED_ON_DELIVERY_OUTCOME,
    PROGRESSED_ON_STEP_OUTCOME,
    SIGNAL,
    SIGNAL_AFTER_END,
    SIGNAL_AFTER_EXPIRY,
    STEP_ACTIVATED,
    STEP_SKIPPED,
    WAIT_EXPIRED,
    WAITING_FOR_APPROVAL,
    WAITING_FOR_STEP_PROGRESSION,
    WORKFLOW_COMPLETED,
    WORKFLOW_STARTED,
    WORKFLOW_STOPPED,
)

#: Characters of a reason that are told.
LONGEST = 200


def transition_entries(transitions: tuple[Transition, ...]) -> Iterator[Placed]:
    """Tell of a run's moves.

    Yields:
        Entries, in no order.
    """
    for one in transitions:
        what = f"workflow_{_WHAT.get(one.reason) or one.to_state}"
        entry = Entry(at=one.created_at, what=what, detail=transition_words(one), source="workflow")
        yield Placed(MOVE * one.seq, entry)


def signal_entries(about: RunSituation) -> Iterator[Placed]:
    """Tell of the signals that moved a run, or came too late to.

    Yields:
        Entries, in no order.
    """
    answered: Mapping[str | None, int] = {one.signal_id: one.seq for one in reversed(about.transitions)}
    for signal in about.signals:
        place = MOVE * answered.get(signal.signal_id, 0) + SIGNAL_BEFORE
        yield Placed(place, _signal(signal))


def transition_words(one: Transition) -> str:
    """Say what a move was."""
    word, _, about = one.reason.partition(":")
    if word in _PLAIN:
        return _PLAIN[word].format(step=f"the step {one.step_key!r}")
    if word in {WAITING_FOR_STEP_PROGRESSION, WAITING_FOR_APPROVAL}:
        return _waits(one)
    why = cause_words(one)
    if why is None:
        return _end(one, word, about)
    ended = one.to_state in {"completed", "stopped"}
    return f"{why}: {f'the workflow is {one.to_state}' if ended else f'the step {one.step_key!r} follows'}"


def cause_words(one: Transition) -> str | None:
    """Say what a move answers; None if it says so itself."""
    word, _, about = one.reason.partition(":")
    if word == APPROVAL_DECIDED:
        return APPROVALS.get(about, about)
    said = _CAUSES.get(word)
    return (
        None
        if said is None
        else said.format(left=f"the step {(one.context or {}).get('from')!r}", about=about)
    )


def wait_words(one: Transition) -> tuple[datetime | None, str | None, tuple[str, ...]]:
    """Give until when a wait lasts, what step follows then, and the signals that end it earlier."""
    context = one.context or {}
    due = context.get("due_at")
    return (
        (None if due is None else datetime.fromisoformat(due)),
        context.get("to"),
        tuple(context.get("signals") or ()),
    )


def _waits(one: Transition) -> str:
    due, to, signals = wait_words(one)
    until = "for ever" if due is None else f"until {due.isoformat(timespec='seconds')}"
    for_what = " or ".join(f"{name!r}" for name in dict.fromkeys(signals))
    listens = f" for the signal {for_what}" if for_what else ""
    then = f"; then the step {to!r} follows" if to else ""
    return f"it waits at the step {one.step_key!r} {until}{listens}{then}"


def _end(one: Transition, word: str, about: str) -> str:
    if word == WORKFLOW_COMPLETED:
        return "the workflow is complete"
    if word == WORKFLOW_STOPPED:
        return f"the step {one.step_key!r} came out as {about}, at which the workflow stops"
    if word == STEP_ACTIVATED:
        return f"the step {one.step_key!r} began"
    return f"the workflow was {one.to_state}: {one_line(one.reason, LONGEST)}"


def _signal(signal: Signal) -> Entry:
    detail = f"{signal.actor_id!r} sent the signal {signal.event_name!r} ({signal.signal_id[:8]})"
    return Entry(at=signal.occurred_at, what="signal_tracked", detail=detail, source="signal")


_PLAIN = {
    WORKFLOW_STARTED: "the workflow began with {step}",
    STEP_SKIPPED: "{step} was skipped: its condition did not hold",
    SIGNAL_AFTER_EXPIRY: "a signal came when the wait for it was over, and changed nothing",
    SIGNAL_AFTER_END: "a signal came when the workflow was over, and changed nothing",
}
#: How an approval came out.
APPROVALS = {
    "approved": "what a model wrote was approved",
    "rejected": "what a model wrote was rejected",
    "expired": "nobody approved it in time",
}
_WHAT = {
    WORKFLOW_STARTED: "started",
    STEP_SKIPPED: "step_skipped",
    SIGNAL_AFTER_EXPIRY: SIGNAL_AFTER_EXPIRY,
    SIGNAL_AFTER_END: SIGNAL_AFTER_END,
}
_CAUSES = {
    PROGRESSED_ON_DELIVERY_OUTCOME: "{left} came out as {about}",
    PROGRESSED_ON_STEP_OUTCOME: "{left} came out as {about}",
    WAIT_EXPIRED: "the wait at {left} was over",
    SIGNAL: "the signal '{about}' came",
}
