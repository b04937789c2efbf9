"""The steps of a workflow: `Deliver`, `Gate`, `Ask`, `Summarise`, `Approve`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from chimeway.errors import NotifierInvalid
from chimeway.models import Outcome
from chimeway.workflow.conditions import Condition, Fact, as_condition
from chimeway.workflow.listed import list_problem
from chimeway.workflow.rules import ANY, On, Rule, Stop, Wait
from chimeway.workflow.signal_match import APPROVAL, SignalMatch

#: The outcome of a step whose condition did not hold.
SKIPPED = "skipped"
#: What a delivery that goes on being tried says of its last attempt.
EARLY = str(Outcome.TEMPORARY_FAILURE)
WRITTEN, FAILED = "written", "failed"
APPROVED, REJECTED, EXPIRED = "approved", "rejected", "expired"


@dataclass(frozen=True, slots=True)
class Step:
    """What every step has."""

    kind: ClassVar[str] = ""
    #: Outcomes that a rule may name, but for `skipped` and `*`.
    outcomes: ClassVar[tuple[str, ...]] = ()
    #: Whether it may have a `Wait`.
    may_wait: ClassVar[bool] = False

    key: str
    #: What follows; of `On` and `Stop` the first that fits, else `Wait`, else the run is complete.
    rules: Sequence[Rule] = field(default=(), kw_only=True)
    #: When it does not hold as the step's turn comes, the step is skipped: `On("skipped")`, `On("*")` or a `Stop` of these
    #: say what follows, else the `to` of its `Wait`, else the next step in the list.
    when: Condition | Fact | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if problem := list_problem("rules", self.rules):
            raise NotifierInvalid(f"step {self.key!r}: {problem}")
        object.__setattr__(self, "rules", tuple(self.rules))
        if self.when is None:
            return
        try:
            object.__setattr__(self, "when", as_condition(self.when))
        except NotifierInvalid as error:
            raise NotifierInvalid(f"step {self.key!r}: when: {error}") from error

    @property
    def condition(self) -> Condition | None:
        """Its condition."""
        return None if self.when is None else as_condition(self.when)

    @property
    def wait(self) -> Wait | None:
        """Its wait gate."""
        return next((rule for rule in self.rules if isinstance(rule, Wait)), None)

    @property
    def listens(self) -> tuple[SignalMatch, ...]:
        """The signals it listens to while it waits."""
        return () if self.wait is None else self.wait.listens

    def rule_for(self, outcome: str, *, converged: bool = True) -> On | Stop | None:
        """Give the first rule that an outcome fits."""
        names = {outcome, ANY} if converged else {outcome}
        fitting = (rule for rule in self.rules if isinstance(rule, On | Stop) and rule.outcome in names)
        return next(fitting, None)


@dataclass(frozen=True, slots=True)
class Deliver(Step):
    """Sends the notification on a channel: `Deliver("email", channel="email", rules=[...])`."""

    kind: ClassVar[str] = "deliver"
    outcomes: ClassVar[tuple[str, ...]] = tuple(str(one) for one in Outcome)
    may_wait: ClassVar[bool] = True

    channel: str = field(kw_only=True)


@dataclass(frozen=True, slots=True)
class Gate(Step):
    """Only waits, from the moment its turn comes: `Gate("grace", rules=[Wait(days=1, to="email")])`."""

    kind: ClassVar[str] = "gate"
    may_wait: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Ask(Step):
    """Has an LLM write a text; its prompt is the notifier's content for the step."""

    kind: ClassVar[str] = "ask"
    outcomes: ClassVar[tuple[str, ...]] = (WRITTEN, FAILED)


@dataclass(frozen=True, slots=True)
class Summarise(Step):
    """Has an LLM summarise the notifier's content for the step."""

    kind: ClassVar[str] = "summarise"
    outcomes: ClassVar[tuple[str, ...]] = (WRITTEN, FAILED)


@dataclass(frozen=True, slots=True)
class Approve(Step):
    """Waits for a person to approve or to reject what an LLM step wrote: `Approve("check", of="draft", within=86400)`."""

    kind: ClassVar[str] = "approve"
    outcomes: ClassVar[tuple[str, ...]] = (APPROVED, REJECTED, EXPIRED)

    #: The step that wrote it.
    of: str = field(kw_only=True)
    #: Seconds after which it counts as `expired`; None waits for ever.
    within: float | None = field(default=None, kw_only=True)

    @property
    def listens(self) -> tuple[SignalMatch, ...]:
        """The decision, by name."""
        return (SignalMatch(APPROVAL, {"run_id": "$run_id", "step": self.key}),)


STEPS: dict[str, type[Step]] = {one.kind: one for one in (Deliver, Gate, Ask, Summarise, Approve)}
#: Those that an LLM works at.
WRITERS = (Ask, Summarise)


def possible_outcomes(step: Step) -> tuple[str, ...]:
    """Give how a step can come out: not all that its kind has."""
    never = {EXPIRED} if isinstance(step, Approve) and step.within is None else set()
    skipped = () if step.condition is None else (SKIPPED,)
    return (*(one for one in step.outcomes if one not in never), *skipped)


def options_of(step: Step) -> dict[str, Any]:
    """Give what a step has beside its key, its rules and its condition."""
    if isinstance(step, Deliver):
        return {"channel": step.channel}
    return {"of": step.of, "within": step.within} if isinstance(step, Approve) else {}
