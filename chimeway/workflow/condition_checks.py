"""What is wrong with a condition, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chimeway.workflow.conditions import (
    OPERATORS,
    ORDERING,
    AllOf,
    AnyOf,
    Compare,
    Condition,
    Not,
    comparisons,
)
from chimeway.workflow.steps import WRITERS, Approve, Step, possible_outcomes
from chimeway.workflow.wait_checks import is_json

#: Conditions within conditions.
DEEPEST = 20
#: The facts that are not parameters; `*` stands for one name.
_KNOWN = (
    ("recipient", "identity"),
    ("recipient", "recipient_type"),
    ("recipient", "addresses", "*"),
    ("steps", "*", "outcome"),
    ("steps", "*", "output"),
    ("notification", "seen"),
    ("notification", "read"),
)


def condition_problem(condition: Condition, earlier: Sequence[Step]) -> str | None:
    """Say what is wrong with a condition; None if nothing is.

    Args:
        condition: To be looked at.
        earlier: The steps before the one that has it.
    """
    if not _is_shallow(condition, DEEPEST):
        return f"conditions stand more than {DEEPEST} deep in each other, or one has nothing in it"
    steps = {step.key: step for step in earlier}
    problems = (_comparison_problem(one, steps) for one in comparisons(condition))
    return next((problem for problem in problems if problem), None)


def _is_shallow(condition: Condition, left: int) -> bool:
    if left == 0:
        return False
    match condition:
        case AllOf(conditions) | AnyOf(conditions):
            return len(conditions) > 0 and all(_is_shallow(one, left - 1) for one in conditions)
        case Not(inner):
            return _is_shallow(inner, left - 1)
        case _:
            return isinstance(condition, Compare)


def _comparison_problem(one: Compare, earlier: Mapping[str, Step]) -> str | None:
    return _form_problem(one) or _fact_problem(one, earlier)


def _form_problem(one: Compare) -> str | None:
    if one.op not in OPERATORS:
        return f"{one.op!r} is no comparison; there are {', '.join(sorted(OPERATORS))}"
    if not is_json(list(one.value) if one.op == "in" else one.value):
        return f"{one.fact!r} is compared with what JSON cannot hold"
    if one.op in ORDERING and (isinstance(one.value, bool) or not isinstance(one.value, int | float | str)):
        return f"{one.fact!r} is compared with {one.value!r}; <, <=, > and >= take a number or a text"
    return None


def _fact_problem(one: Compare, earlier: Mapping[str, Step]) -> str | None:
    parts = tuple(one.fact.split(".")) if isinstance(one.fact, str) and is_json(one.fact) else ()
    if not all(parts) or not (_is_parameter(parts) or any(_fits(parts, known) for known in _KNOWN)):
        return (
            f"{one.fact!r} is no fact; there are params.NAME, recipient.identity, recipient.recipient_type, "
            "recipient.addresses.CHANNEL, steps.KEY.outcome, steps.KEY.output, notification.seen and notification.read"
        )
    if parts[0] == "steps" and parts[1] not in earlier:
        return f"{one.fact!r} names no earlier step, here one of: {', '.join(sorted(earlier)) or 'none'}"
    return _result_problem(one, earlier[parts[1]], parts[2]) if parts[0] == "steps" else None


def _result_problem(one: Compare, step: Step, what: str) -> str | None:
    """Say why a step never comes to what a condition asks for."""
    if what == "output":
        writes = isinstance(step, (*WRITERS, Approve))
        return None if writes else f"{one.fact!r}: a {step.kind} step writes nothing; ask for its outcome"
    known = possible_outcomes(step)
    if not known:
        return f"{one.fact!r}: a {step.kind} step has no outcome, unless it has a `when` and is skipped"
    asked = {"eq": (one.value,), "ne": (one.value,), "in": one.value}.get(one.op, ())
    wrong = [value for value in asked if value not in known]
    if not wrong:
        return None
    return f"{one.fact!r}: {wrong[0]!r} is no outcome of this {step.kind} step; it has {', '.join(known)}"


def _is_parameter(parts: tuple[str, ...]) -> bool:
    return len(parts) > 1 and parts[0] == "params"


def _fits(parts: tuple[str, ...], known: tuple[str, ...]) -> bool:
    return len(parts) == len(known) and all(b in {a, "*"} for a, b in zip(parts, known, strict=True))
