"""What is known of a run when its next move is decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from chimeway.models import Signal


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """What an earlier step came to."""

    outcome: str | None = None
    output: str | None = None

    def view(self) -> dict[str, Any]:
        """Give what conditions see of it."""
        return {"outcome": self.outcome, "output": self.output}


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of a run: the step it stands at, the signals that came, and what conditions ask about."""

    #: Whether the step's delivery, or its text's row, is there.
    is_planned: bool = True
    #: How the step came out; None while it has not, but for `temporary_failure`, which a delivery says between attempts.
    outcome: str | None = None
    #: Whether that is its last word.
    converged: bool = False
    #: When it was.
    converged_at: datetime | None = None
    #: Earlier steps whose waits ended by time, since a delivery was last left: what they listened to takes the next one back.
    waits_over: Sequence[str] = ()
    #: Of the recipient, since the run began, that no move of the run has used; in any order.
    signals: Sequence[Signal] = ()
    params: Mapping[str, Any] = field(default_factory=dict)
    recipient_type: str = "user"
    addresses: Mapping[str, str] = field(default_factory=dict)
    seen: bool = False
    read: bool = False
    #: Of the steps that the run has been at.
    steps: Mapping[str, StepResult] = field(default_factory=dict)
