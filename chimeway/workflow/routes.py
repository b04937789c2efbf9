"""Where a run can go: the steps that may follow each step."""

from __future__ import annotations

from collections.abc import Sequence

from chimeway.workflow.rules import On
from chimeway.workflow.steps import SKIPPED, Step


def targets(step: Step) -> list[str]:
    """Give the steps that a step's rules name."""
    named = [rule.to for rule in step.rules if isinstance(rule, On)]
    wait = step.wait
    if wait is not None:
        named += [] if wait.to is None else [wait.to]
        named += [to for _match, to in wait.on_signal]
    return named


def goes_on_when_skipped(step: Step) -> bool:
    """Whether the next step of the list follows when the step is skipped."""
    return step.condition is not None and step.rule_for(SKIPPED) is None and step.wait is None


def reachable(steps: Sequence[Step]) -> set[str]:
    """Give the keys of the steps that a run can come to.

    Args:
        steps: In their order; rules name only later ones.
    """
    found = {step.key for step in steps[:1]}
    for place, step in enumerate(steps):
        if step.key not in found:
            continue
        found.update(targets(step))
        if goes_on_when_skipped(step):
            found.update(one.key for one in steps[place + 1 : place + 2])
    return found
