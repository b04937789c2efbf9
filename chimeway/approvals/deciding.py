"""Deciding what waits for a person: the first word counts, and who comes second is told whose it was."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from chimeway.delivery_content import step_text
from chimeway.engine.definitions import load_definition
from chimeway.engine.moves import lock_run
from chimeway.errors import ChimewayError, NotificationNotFound, NotifierInvalid
from chimeway.models import RunState, Signal, WorkflowRun
from chimeway.rows import as_record
from chimeway.signal import add_signal
from chimeway.tables import signals, step_outputs
from chimeway.trigger_checks import checked_key
from chimeway.workflow.signal_match import APPROVAL, approval_key
from chimeway.workflow.steps import APPROVED, WRITTEN, Approve
from jobs.sqltypes import insert_into, storable

#: Characters of a note, and of a text that a reviewer has changed.
LONGEST_NOTE, LONGEST_TEXT = 10_000, 1_000_000
_OPEN = (RunState.ACTIVE, RunState.WAITING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """What a person has decided."""

    run_id: str
    #: The `Approve` step.
    step_key: str
    #: `approved` or `rejected`.
    decision: str
    by: str
    decided_at: datetime
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What somebody wants to decide."""

    run_id: str
    #: `approved` or `rejected`.
    decision: str
    by: str
    note: str | None = None
    text: str | None = None
    step_key: str | None = None
    tenant_id: str | None = None

    def is_meant_by(self, step_key: str) -> bool:
        """Whether it is about a step."""
        return self.step_key in {None, step_key}


def checked_wish(
    run_id: str,
    decision: str,
    *,
    by: Any,
    note: str | None,
    step_key: str | None,
    tenant_id: str | None,
    text: str | None = None,
) -> Wish:
    """Check what somebody wants to decide.

    Args:
        run_id: The run.
        decision: `approved` or `rejected`.
        by: Who decides.
        note: Why.
        step_key: The step; None means the one that waits.
        tenant_id: Whose run it must be; None takes any.
        text: The text as it shall be; None leaves it as it is.

    Raises:
        NotifierInvalid: A value cannot be used.
    """
    who = by if by is None or isinstance(by, str) else str(by)
    if who is None:
        raise NotifierInvalid("by=None: say who decides, by id")
    for name, value, longest in (("note", note, LONGEST_NOTE), ("text", text, LONGEST_TEXT)):
        if value is not None and (not isinstance(value, str) or not value.strip() or len(value) > longest):
            raise NotifierInvalid(
                f"{name} is a text of 1 to {longest:,} characters that is not blank, or None"
            )
    return Wish(
        run_id=storable(str(run_id)),
        decision=decision,
        by=str(checked_key("by", who)),
        # What no database holds must not come between a decision and its run.
        note=None if note is None else storable(note),
        text=None if text is None else storable(text),
        step_key=step_key,
        tenant_id=tenant_id,
    )


def decide_wish(connection: Connection, wish: Wish, now: datetime) -> Approval:
    """Decide, if nobody has and the run waits for it.

    Args:
        connection: A transaction that writes.
        wish: What is to be decided.
        now: The time.

    Raises:
        NotificationNotFound: There is no such run, or it is another tenant's.
        ChimewayError: It waits for no such decision.
    """
    run = lock_run(connection, wish.run_id)
    if run is None or wish.tenant_id not in {None, run.tenant_id}:
        raise NotificationNotFound(f"no workflow run {wish.run_id!r} in this database")
    step = load_definition(connection, run.definition_id).find(run.current_step_key)
    if not isinstance(step, Approve) or run.state not in _OPEN or not wish.is_meant_by(step.key):
        return _too_late(connection, run, wish)
    if (earlier := _decision_of(connection, run, step.key)) is not None:
        return _again(earlier, wish)
    if run.due_at is not None and run.due_at <= now:
        raise ChimewayError(
            f"run {run.run_id}: the approval {step.key!r} expired at {run.due_at.isoformat()}; nothing is decided"
        )
    signal = _tell(connection, run, step, wish, now)
    if signal.occurred_at != now or not _is_alike(signal, wish):
        return _again(signal, wish)
    if wish.decision == APPROVED:
        _keep_text(connection, run, step, wish.text, now)
    return _approval(signal)


def _tell(connection: Connection, run: WorkflowRun, step: Approve, wish: Wish, now: datetime) -> Signal:
    payload = {
        "run_id": run.run_id,
        "notification_id": run.notification_id,
        "step": step.key,
        "decision": wish.decision,
        "by": wish.by,
        "note": wish.note,
        "edited": wish.text is not None,
    }
    return add_signal(
        connection,
        tenant_id=run.tenant_id,
        actor_id=run.recipient_identity,
        event_name=APPROVAL,
        payload=payload,
        dedup_key=approval_key(run.run_id, step.key),
        now=now,
    )


def _keep_text(
    connection: Connection, run: WorkflowRun, step: Approve, text: str | None, now: datetime
) -> None:
    """Keep what was approved as the step's own output, beside that of the step that wrote it."""
    approved = step_text(connection, run.run_id, step.of) if text is None else text
    row = {"run_id": run.run_id, "step_key": step.key, "state": WRITTEN, "output": approved}
    added = insert_into(connection, step_outputs).values(**row, created_at=now, ended_at=now)
    connection.execute(added.on_conflict_do_nothing())


def _decision_of(connection: Connection, run: WorkflowRun, step_key: str) -> Signal | None:
    mine = (signals.c.tenant_id == run.tenant_id, signals.c.dedup_key == approval_key(run.run_id, step_key))
    row = connection.execute(select(signals).where(*mine)).mappings().first()
    return None if row is None else as_record(Signal, row)


def _too_late(connection: Connection, run: WorkflowRun, wish: Wish) -> Approval:
    """Say what has become of what somebody wanted to decide.

    Raises:
        ChimewayError: It is not what they wanted.
    """
    definition = load_definition(connection, run.definition_id)
    asked = [one.key for one in definition.steps if isinstance(one, Approve) and wish.is_meant_by(one.key)]
    earlier = [found for key in asked if (found := _decision_of(connection, run, key)) is not None]
    if earlier:
        return _again(max(earlier, key=lambda one: one.occurred_at), wish)
    if run.state not in _OPEN:
        raise ChimewayError(f"run {run.run_id} is {run.state.value} ({run.reason}) and waits for no approval")
    about = "no approval" if wish.step_key is None else f"no approval {wish.step_key!r}"
    raise ChimewayError(
        f"run {run.run_id} stands at the step {run.current_step_key!r}, which waits for {about}"
    )


def _again(earlier: Signal, wish: Wish) -> Approval:
    """Give the decision that was made before, if it is the same person's same one.

    Raises:
        ChimewayError: It is another one.
    """
    found = _approval(earlier)
    if _is_alike(earlier, wish):
        return found
    raise ChimewayError(
        f"run {found.run_id}: {found.step_key!r} was {found.decision} by {found.by!r} at {found.decided_at.isoformat()}; "
        "the first decision counts"
    )


def _is_alike(signal: Signal, wish: Wish) -> bool:
    return (signal.payload.get("by"), signal.payload.get("decision")) == (wish.by, wish.decision)


def _approval(signal: Signal) -> Approval:
    said = signal.payload
    return Approval(
        run_id=str(said.get("run_id")),
        step_key=str(said.get("step")),
        decision=str(said.get("decision")),
        by=str(said.get("by")),
        note=said.get("note"),
        decided_at=signal.occurred_at,
    )
