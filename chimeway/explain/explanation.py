"""What is told of a delivery, a workflow run or an event: a sentence, what helps, and what happened. Values, no I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Something that happened."""

    at: datetime
    #: A word for it: `attempt_recorded`.
    what: str
    #: In words: ids and names only, no addresses, contents or values of parameters.
    detail: str
    #: Where it is known from: `event`, `notification`, `delivery`, `attempt`, `provider`, `recipient`, `workflow`, `signal`.
    source: str

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON values."""
        return record_json(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepExplanation:
    """Where one step of a run stands, also one that nothing was planned for."""

    step_key: str
    #: `deliver`, `gate`, `ask`, `summarise`, `approve`.
    kind: str
    channel: str | None
    #: The status of its delivery or of its text; else `waiting`, `passed`, `skipped`, `passed_over`, `ahead` or `never`.
    state: str
    #: Why, in words.
    summary: str
    delivery_id: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON values."""
        return record_json(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Where a delivery or a workflow run stands, and why."""

    kind: Literal["delivery", "run"]
    explained_id: str
    tenant_id: str
    event_id: str
    notification_id: str
    notification_key: str
    recipient: str
    correlation_id: str | None
    #: The delivery's status, or the run's state.
    state: str
    #: The word for why: `quiet_hours`, `retries_exhausted`, `no_worker`.
    reason: str
    #: What is and why, in one sentence.
    summary: str
    #: What helps; None if nothing needs to be done.
    remedy: str | None
    #: Numbers, times and ids that go with it, as JSON values.
    facts: Mapping[str, Any]
    #: Of a run: each step of its workflow.
    steps: Sequence[StepExplanation] = ()
    #: What happened, in its order.
    timeline: Sequence[Entry] = ()

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON values; times are ISO 8601."""
        return record_json(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What became of an event."""

    event_id: str
    tenant_id: str
    notification_key: str
    idempotency_key: str
    correlation_id: str | None
    created_at: datetime
    #: What became of it, in one sentence.
    summary: str
    #: What helps; None if nothing needs to be done.
    remedy: str | None
    #: Recipients that have a notification, and those that are still to be planned.
    notification_count: int
    unplanned_count: int
    #: Deliveries by status; all of them, however many are explained.
    statuses: Mapping[str, int]
    #: The oldest deliveries and runs, a hundred at most.
    deliveries: Sequence[Explanation] = field(default=())
    runs: Sequence[Explanation] = field(default=())
    timeline: Sequence[Entry] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON values; times are ISO 8601."""
        return record_json(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What is said of something."""

    #: A word for why.
    reason: str
    sentence: str
    remedy: str | None = None


def as_json(value: Any) -> Any:
    """Give a value of this module as JSON values."""
    match value:
        case datetime():
            return value.isoformat()
        case Enum():
            return value.value
        case Mapping():
            return {str(name): as_json(one) for name, one in value.items()}
        case str() | int() | float() | None:
            return value
        case Sequence():
            return [as_json(one) for one in value]
        case _:
            return record_json(value)


def record_json(value: Any) -> dict[str, Any]:
    """Give a dataclass as JSON values."""
    return {name: as_json(getattr(value, name)) for name in value.__dataclass_fields__}
