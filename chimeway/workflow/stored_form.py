"""A workflow's steps as JSON values, and back. What is stored is read strictly: nothing of it is passed over."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from chimeway.errors import NotifierInvalid
from chimeway.workflow.conditions import AllOf, AnyOf, Compare, Condition, Not
from chimeway.workflow.rules import On, Rule, Stop, Wait
from chimeway.workflow.signal_match import SignalMatch
from chimeway.workflow.steps import STEPS, Step, options_of

T = TypeVar("T")


def step_to_json(step: Step) -> dict[str, Any]:
    """Give a step as JSON values."""
    values: dict[str, Any] = {"kind": step.kind, "key": step.key, **options_of(step)}
    if step.rules:
        values["rules"] = [_rule_to_json(rule) for rule in step.rules]
    if step.condition is not None:
        values["when"] = condition_to_json(step.condition)
    return values


def step_from_json(values: Any) -> Step:
    """Read a step.

    Raises:
        NotifierInvalid: It has a field or a kind that this version does not know, or lacks one.
    """
    given = _mapping(values, "a step")
    kind = given.pop("kind", None)
    if kind not in STEPS:
        raise NotifierInvalid(
            f"a stored step is of the kind {kind!r}; this version knows {', '.join(STEPS)}: upgrade it"
        )
    if "rules" in given:
        given["rules"] = [_rule_from_json(rule) for rule in _list(given["rules"], "rules")]
    if "when" in given:
        given["when"] = condition_from_json(given["when"])
    return _made(STEPS[kind], given, f"a {kind} step")


def condition_to_json(condition: Condition) -> dict[str, Any]:
    """Give a condition as JSON values.

    Raises:
        NotifierInvalid: It is none.
    """
    match condition:
        case AllOf(conditions):
            return {"all": [condition_to_json(one) for one in conditions]}
        case AnyOf(conditions):
            return {"any": [condition_to_json(one) for one in conditions]}
        case Not(inner):
            return {"not": condition_to_json(inner)}
        case Compare(fact, op, value):
            return {"fact": fact, "op": op, "value": list(value) if op == "in" else value}
        case _:
            raise NotifierInvalid(f"a condition is made of when(...), not of {condition!r}")


def condition_from_json(values: Any) -> Condition:
    """Read a condition.

    Raises:
        NotifierInvalid: It is none that this version knows.
    """
    given = _mapping(values, "a condition")
    for name, kind in (("all", AllOf), ("any", AnyOf)):
        if set(given) == {name}:
            return kind(tuple(condition_from_json(one) for one in _list(given[name], name)))
    if set(given) == {"not"}:
        return Not(condition_from_json(given["not"]))
    if given.get("op") == "in":
        given["value"] = tuple(_list(given.get("value"), "value"))
    return _made(Compare, given, "a condition")


def _rule_to_json(rule: Rule) -> dict[str, Any]:
    match rule:
        case On(outcome, to=to):
            return {"on": outcome, "to": to}
        case Stop(outcome):
            return {"stop": outcome}
        case Wait():
            cancels = [_match_to_json(one) for one in rule.cancel_on]
            jumps = [{**_match_to_json(one), "to": to} for one, to in rule.on_signal]
            return {"wait": rule.seconds, "to": rule.to, "cancel_on": cancels, "on_signal": jumps}
        case _:
            raise NotifierInvalid(f"a rule is On, Stop or Wait, not {type(rule).__name__}")


def _rule_from_json(values: Any) -> Rule:
    given = _mapping(values, "a rule")
    names = set(given)
    if names == {"on", "to"}:
        return On(given["on"], to=given["to"])
    if names == {"stop"}:
        return Stop(given["stop"])
    if names == {"wait", "to", "cancel_on", "on_signal"}:
        jumps = {}
        for one in _list(given["on_signal"], "on_signal"):
            jump = _mapping(one, "a signal")
            jumps[_match_from_json({key: value for key, value in jump.items() if key != "to"})] = jump.get(
                "to"
            )
        cancels = [_match_from_json(one) for one in _list(given["cancel_on"], "cancel_on")]
        return Wait(seconds=given["wait"], to=given["to"], cancel_on=cancels, on_signal=jumps)  # type: ignore[arg-type]
    raise NotifierInvalid(
        f"a stored rule has the fields {', '.join(sorted(names)) or 'none'}, which this version does not know: upgrade it"
    )


def _match_to_json(match: SignalMatch) -> dict[str, Any]:
    return {"event": match.event_name, "match": dict(match.fields)}


def _match_from_json(values: Any) -> SignalMatch:
    given = _mapping(values, "a signal")
    if set(given) != {"event", "match"}:
        raise NotifierInvalid(
            f"a stored signal has event and match, not {', '.join(sorted(given)) or 'nothing'}: upgrade this version"
        )
    return SignalMatch(given["event"], given["match"])


def _made(kind: Callable[..., T], given: Mapping[str, Any], what: str) -> T:
    try:
        return kind(**given)
    except TypeError as error:
        fields = ", ".join(sorted(map(str, given)))
        raise NotifierInvalid(
            f"{what} is stored with the fields {fields}, which is not what this version knows: {error}; upgrade it"
        ) from error


def _mapping(values: Any, what: str) -> dict[str, Any]:
    if not isinstance(values, Mapping):
        raise NotifierInvalid(f"{what} is stored as a {type(values).__name__} and should be an object")
    return dict(values)


def _list(values: Any, what: str) -> list[Any]:
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise NotifierInvalid(f"{what} is stored as a {type(values).__name__} and should be a list")
    return list(values)
