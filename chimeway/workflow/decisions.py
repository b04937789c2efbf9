"""The moves of a run, and the words for why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from chimeway.workflow.signal_match import SignalMatch

#: Why a run is in its state, and why one does not move. Some have more behind a colon: `signal:comment.answered`.
WORKFLOW_STARTED = "workflow_started"
STEP_ACTIVATED = "step_activated"
WORKFLOW_COMPLETED = "workflow_completed"
WORKFLOW_STOPPED = "workflow_stopped"
WAITING_FOR_STEP_PROGRESSION = "waiting_for_step_progression"
WAITING_FOR_APPROVAL = "waiting_for_approval"
WAIT_EXPIRED = "wait_expired"
STEP_SKIPPED = "step_skipped"
PROGRESSED_ON_DELIVERY_OUTCOME = "progressed_on_delivery_outcome"
PROGRESSED_ON_STEP_OUTCOME = "progressed_on_step_outcome"
SIGNAL = "signal"
APPROVAL_DECIDED = "approval"

RUN_NOT_ACTIVE = "run_not_active"
UNKNOWN_STEP = "unknown_step"
WAIT_NOT_DUE = "wait_not_due"
PRIOR_DELIVERY_NOT_CONVERGED = "prior_delivery_not_converged"
STEP_NOT_WRITTEN = "step_not_written"
RUN_NOT_FOUND = "run_not_found"
#: Its workflow is stored by a newer version, its notification is gone, or what comes next cannot be planned.
UNREADABLE = "run_not_readable"
MOVED_BY_OTHERS = "moved_by_others"
SIGNAL_AFTER_EXPIRY = "signal_arrived_after_expiry"
SIGNAL_AFTER_END = "signal_after_end"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Move:
    """What every move has."""

    reason: str
    #: What the step that is left came to.
    outcome: str | None = None
    #: The signal that it answers.
    signal_id: str | None = None
    #: Steps that are passed over on the way, because their conditions do not hold.
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Activate(_Move):
    """A step's turn has come: plan its delivery, or have its text written."""

    step_key: str
    #: Signals that suppress its delivery at the last moment: `{"event": ..., "match": {...}}`.
    cancel_on: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitFor(_Move):
    """The run pauses."""

    #: None waits for ever.
    due_at: datetime | None
    #: The step that follows when the time is over; None: the run is complete then, or its approval expired.
    to: str | None
    listens: Sequence[SignalMatch] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Complete(_Move):
    """The run has come to its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRun(_Move):
    """The run stops before its end."""


@dataclass(frozen=True, slots=True)
class Noop:
    """Nothing is to be done now."""

    reason: str


Move: TypeAlias = Activate | WaitFor | Complete | StopRun
Decision: TypeAlias = Move | Noop
