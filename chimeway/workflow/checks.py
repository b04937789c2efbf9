"""What a workflow must be, said before anything is sent: each error names the step, the rule and the remedy."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator, Sequence
from itertools import chain, groupby

from chimeway.errors import NotifierInvalid
from chimeway.workflow.condition_checks import condition_problem
from chimeway.workflow.routes import reachable, targets
from chimeway.workflow.rules import ANY, On, Rule, Stop, Wait
from chimeway.workflow.steps import (
    EARLY,
    EXPIRED,
    SKIPPED,
    WRITERS,
    Approve,
    Deliver,
    Gate,
    Step,
    possible_outcomes,
)
from chimeway.workflow.wait_checks import seconds_problem, wait_problem
from jobs.sqltypes import storable

MOST_STEPS = 50
LONGEST_KEY = 100
LONGEST_WORKFLOW_KEY = 255
#: Its rows keep no higher one.
HIGHEST_VERSION = 2**31 - 1
#: The name of an attribute: the notifier's, which says what the step tells.
_STEP_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_CHANNEL = re.compile(r"[a-z][a-z0-9_]{0,99}")


def check(key: str, version: int, steps: Sequence[Step]) -> None:
    """Check a workflow.

    Raises:
        NotifierInvalid: It cannot be used; says where and why.
    """
    if not isinstance(key, str) or not key.strip() or len(key) > LONGEST_WORKFLOW_KEY:
        raise NotifierInvalid(f"a workflow's key has 1 to {LONGEST_WORKFLOW_KEY} characters, not {key!r}")
    if key != storable(key):
        raise NotifierInvalid(
            f"a workflow's key has no NUL and no half of a character in it, as {key!r} does"
        )
    of_steps = (problem for step in steps for problem in _of_a_step(step, steps))
    of_ways = (problem for step in steps for problem in _of_its_way(step, steps))
    # Only the first counts: what is looked at later relies on what was looked at before.
    for problem in chain(_of_the_whole(version, steps), of_steps, of_ways):
        raise NotifierInvalid(f"workflow {key!r}: {problem}")


def _of_the_whole(version: int, steps: Sequence[Step]) -> Iterator[str]:
    if isinstance(version, bool) or not isinstance(version, int) or not 1 <= version <= HIGHEST_VERSION:
        yield (
            f"version={version!r} must be a whole number from 1 to {HIGHEST_VERSION}; raise it with each change of the steps"
        )
    if not 1 <= len(steps) <= MOST_STEPS:
        yield f"it has {len(steps)} steps, and should have 1 to {MOST_STEPS}"
    strangers = [step for step in steps if not isinstance(step, Step) or not step.kind]
    if strangers:
        yield f"{strangers[0]!r} is no step; use Deliver, Gate, Ask, Summarise or Approve"
        return
    for step in steps:
        if not isinstance(step.key, str) or not _STEP_KEY.fullmatch(step.key) or keyword.iskeyword(step.key):
            yield (
                f"the step key {step.key!r} must be 1 to {LONGEST_KEY} letters, digits and '_', not begin with a digit and be "
                "no word of Python's: an attribute of the notifier that is called so says what the step tells"
            )
            return
    for key, group in groupby(sorted(step.key for step in steps)):
        if len(list(group)) > 1:
            yield f"two steps are called {key!r}; give each a key of its own"


def _of_a_step(step: Step, steps: Sequence[Step]) -> Iterator[str]:
    about = f"step {step.key!r}: "
    place = next(number for number, one in enumerate(steps) if one is step)
    yield from (about + problem for problem in _of_its_kind(step, steps[:place]))
    yield from (about + problem for problem in _of_its_rules(step))


def _of_its_way(step: Step, steps: Sequence[Step]) -> Iterator[str]:
    # Asks the other steps, too, so each must be one by itself.
    about = f"step {step.key!r}: "
    place = next(number for number, one in enumerate(steps) if one is step)
    later = {one.key for one in steps[place + 1 :]}
    for to in targets(step):
        if to not in later:
            known = ", ".join(sorted(later)) or "none"
            yield f"{about}{to!r} is no later step; a rule leads on, never back, here to one of: {known}"
    if step.condition is not None and (problem := condition_problem(step.condition, steps[:place])):
        yield f"{about}when: {problem}"
    if step.key not in reachable(steps):
        yield f"{about}no rule of an earlier step leads to it; name it in a `to`, or remove it"


def _of_its_kind(step: Step, earlier: Sequence[Step]) -> Iterator[str]:
    if isinstance(step, Deliver) and not (isinstance(step.channel, str) and _CHANNEL.fullmatch(step.channel)):
        yield f"the channel {step.channel!r} must be up to 100 small letters, digits and '_'"
    if isinstance(step, Gate) and step.wait is None:
        yield "a Gate only waits, and has no Wait; add one to its rules"
    if isinstance(step, Approve):
        writers = [one.key for one in earlier if isinstance(one, WRITERS)]
        if step.of not in writers:
            yield f"of={step.of!r} must be an earlier Ask or Summarise step, here one of: {', '.join(writers) or 'none'}"
        if step.within is not None and (problem := seconds_problem(step.within)):
            yield f"within={step.within!r} {problem}"


def _of_its_rules(step: Step) -> Iterator[str]:
    for rule in step.rules:
        if not isinstance(rule, On | Stop | Wait):
            yield f"{rule!r} is no rule; use On, Stop or Wait"
            return
    waits = [rule for rule in step.rules if isinstance(rule, Wait)]
    if waits and not step.may_wait:
        yield f"a step of the kind {step.kind!r} has no Wait; let a Gate follow it"
    if len(waits) > 1:
        yield "it has more than one Wait; several waits are several steps, such as a Gate"
    yield from (problem for wait in waits if (problem := wait_problem(wait)))
    for to in targets(step):
        if not isinstance(to, str):
            yield f"{to!r} is no step's key; name the step that follows by its key, a text"
    yield from _of_its_outcomes(step)


def _of_its_outcomes(step: Step) -> Iterator[str]:
    known = possible_outcomes(step)
    seen: list[str] = []
    for rule in step.rules:
        if isinstance(rule, Wait):
            continue
        if rule.outcome != ANY and rule.outcome not in known:
            yield f"{_named(rule)}: {_unknown_outcome(step, rule.outcome, known)}"
        if rule.outcome in seen or (ANY in seen and rule.outcome != EARLY):
            yield f"{_named(rule)} is never reached, because a rule before it fits the same outcome; remove one"
        seen.append(rule.outcome)
    if not known and seen:
        yield "its rules can never fit; a Gate has only its Wait, unless it has a condition"
    if step.wait is not None and ANY in seen and not isinstance(step, Gate):
        yield "its Wait is never reached, because a rule fits '*', any outcome; name the outcomes"


def _unknown_outcome(step: Step, outcome: str, known: Sequence[str]) -> str:
    if outcome == SKIPPED:
        return "the step has no `when`, so it is never skipped"
    if outcome == EXPIRED and outcome in step.outcomes:
        return (
            "the step has no `within`, so it never expires; say within how many seconds somebody must decide"
        )
    return f"{outcome!r} is no outcome of a {step.kind} step; it has {', '.join(known) or 'none'} and '*'"


def _named(rule: Rule) -> str:
    if isinstance(rule, Wait):
        return "Wait"
    return f"{type(rule).__name__}({rule.outcome!r})"
