"""Conditions of steps, as data: they are stored with the workflow, so that a run goes by those it began with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from chimeway.errors import NotifierInvalid
from chimeway.workflow.listed import list_problem

#: What a fact is that nobody has said.
MISSING: Any = object()
_NO_TRUTH = (
    "a condition is data and has no truth of its own; write & for and, | for or, ~ for not, and parentheses around "
    "each comparison"
)


class Condition:
    """A condition over the facts of a run; `&`, `|` and `~` combine them."""

    __slots__ = ()

    def __and__(self, other: Condition | Fact) -> AllOf:
        """Both hold."""
        return AllOf((self, as_condition(other)))

    def __or__(self, other: Condition | Fact) -> AnyOf:
        """One of them holds."""
        return AnyOf((self, as_condition(other)))

    def __invert__(self) -> Not:
        """It does not hold."""
        return Not(self)

    def __bool__(self) -> bool:
        """Refuse to be taken as true or false, which `and`, `or`, `not` and `a < b < c` do.

        Raises:
            NotifierInvalid: Always.
        """
        raise NotifierInvalid(_NO_TRUTH)


@dataclass(frozen=True, slots=True)
class Compare(Condition):
    """One fact, compared."""

    #: `params.urgent`: where the fact is.
    fact: str
    #: One of `OPERATORS`.
    op: str
    value: Any = None


@dataclass(frozen=True, slots=True)
class AllOf(Condition):
    """Every one holds."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyOf(Condition):
    """At least one holds."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not(Condition):
    """The other one does not hold."""

    condition: Condition


class Fact:
    """A fact that is to be compared, what `when` gives. Taken as it is, it asks whether the fact is true or not empty."""

    __slots__ = ("path",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, path: str) -> None:
        self.path = path

    def __eq__(self, value: object) -> Compare:  # type: ignore[override]
        """It equals a value."""
        return Compare(self.path, "eq", value)

    def __ne__(self, value: object) -> Compare:  # type: ignore[override]
        """It does not equal a value, or nobody has said it."""
        return Compare(self.path, "ne", value)

    def __gt__(self, value: float | str) -> Compare:
        """It is above a value."""
        return Compare(self.path, "gt", value)

    def __ge__(self, value: float | str) -> Compare:
        """It is a value or above it."""
        return Compare(self.path, "ge", value)

    def __lt__(self, value: float | str) -> Compare:
        """It is below a value."""
        return Compare(self.path, "lt", value)

    def __le__(self, value: float | str) -> Compare:
        """It is a value or below it."""
        return Compare(self.path, "le", value)

    def in_(self, values: Iterable[Any]) -> Compare:
        """It is one of the values.

        Raises:
            NotifierInvalid: The values are no list. A text would be taken letter by letter, and a set has another order in
                each process, so that one process would not know the workflow that another has stored.
        """
        if problem := list_problem("what .in_ takes", values, remedy=".in_([...])"):
            raise NotifierInvalid(f"when({self.path!r}): {problem}")
        return Compare(self.path, "in", tuple(values))

    def exists(self) -> Compare:
        """Somebody has said it, and it is not None."""
        return Compare(self.path, "exists")

    def __and__(self, other: Condition | Fact) -> AllOf:
        """Both are true."""
        return as_condition(self) & other

    def __or__(self, other: Condition | Fact) -> AnyOf:
        """One of them is true."""
        return as_condition(self) | other

    def __invert__(self) -> Not:
        """It is not true."""
        return ~as_condition(self)

    def __bool__(self) -> bool:
        """Refuse to be taken as true or false.

        Raises:
            NotifierInvalid: Always.
        """
        raise NotifierInvalid(_NO_TRUTH)


def when(path: str) -> Fact:
    """Name a fact for a step's condition: `when=when("params.urgent") & (when("params.count") > 3)`.

    Args:
        path: `params.NAME` (of the trigger), `recipient.identity`, `recipient.recipient_type`,
            `recipient.addresses.CHANNEL`, `steps.KEY.outcome` and `steps.KEY.output` of an earlier step,
            `notification.seen` or `notification.read`. `params` may be followed further: `params.user.plan`.

    Returns:
        What is compared (`==`, `!=`, `<`, `<=`, `>`, `>=`, `.in_([...])`, `.exists()`), or taken as it is.
    """
    return Fact(path)


def as_condition(given: Condition | Fact) -> Condition:
    """Read what may stand for a condition.

    Raises:
        NotifierInvalid: It is something else.
    """
    if isinstance(given, Fact):
        return Compare(given.path, "truthy")
    if not isinstance(given, Condition):
        raise NotifierInvalid(
            f"a condition is made of when(...), not of {given!r}; write the parentheses of "
            '(when("params.a") == 1) & (when("params.b") > 2)'
        )
    return given


def holds(condition: Condition, view: Mapping[str, Any]) -> bool:
    """Say whether a condition holds. What cannot be compared does not.

    Args:
        condition: To be looked at.
        view: The facts, in mappings, by the parts of their paths.
    """
    if isinstance(condition, Compare):
        return _OPERATIONS[condition.op](lookup(view, condition.fact), condition.value)
    if isinstance(condition, Not):
        return not holds(condition.condition, view)
    if isinstance(condition, AllOf):
        return all(holds(one, view) for one in condition.conditions)
    return isinstance(condition, AnyOf) and any(holds(one, view) for one in condition.conditions)


def comparisons(condition: Condition) -> Iterable[Compare]:
    """Give every comparison of a condition."""
    if isinstance(condition, Compare):
        return [condition]
    if isinstance(condition, Not):
        return comparisons(condition.condition)
    if isinstance(condition, AllOf | AnyOf):
        return [found for one in condition.conditions for found in comparisons(one)]
    return []


def lookup(view: Mapping[str, Any], path: str) -> Any:
    """Follow a path through mappings; `MISSING` where it ends nowhere."""
    value: Any = view
    for part in path.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return MISSING
        value = value[part]
    return value


def is_same(one: Any, other: Any) -> bool:
    """Say whether two JSON values are the same. 1 and 1.0 are, 1 and true are not, and neither are 7 and "7"."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(is_same(value, other[name]) for name, value in one.items())
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(is_same, one, other))
    # JSON has no 1 that is true.
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


class _Operation(Protocol):
    def __call__(self, fact: Any, value: Any, /) -> bool: ...


def _ordered(compare: Callable[[Any, Any], bool]) -> _Operation:
    def ordered(fact: Any, value: Any) -> bool:
        numbers = _is_number(fact) and _is_number(value)
        return (numbers or (isinstance(fact, str) and isinstance(value, str))) and compare(fact, value)

    return ordered


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_OPERATIONS: dict[str, _Operation] = {
    "eq": is_same,
    "ne": lambda fact, value: not is_same(fact, value),
    "in": lambda fact, value: any(is_same(fact, one) for one in value),
    "gt": _ordered(lambda fact, value: fact > value),
    "ge": _ordered(lambda fact, value: fact >= value),
    "lt": _ordered(lambda fact, value: fact < value),
    "le": _ordered(lambda fact, value: fact <= value),
    "exists": lambda fact, _value: fact is not MISSING and fact is not None,
    "truthy": lambda fact, _value: fact is not MISSING and bool(fact),
}

#: Those that ask for an order.
ORDERING = frozenset({"gt", "ge", "lt", "le"})
#: What a comparison may ask.
OPERATORS = frozenset(_OPERATIONS)
