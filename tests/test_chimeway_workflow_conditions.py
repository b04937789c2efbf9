from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chimeway.errors import NotifierInvalid
from chimeway.workflow import Deliver, Gate, On, Wait, Workflow, when
from chimeway.workflow.conditions import OPERATORS, Compare, Condition, Fact, as_condition, holds, is_same
from chimeway.workflow.steps import Step
from chimeway.workflow.stored_form import condition_from_json, condition_to_json

VIEW = {
    "params": {"count": 4, "plan": "pro", "urgent": True, "tags": [], "user": {"age": 40}, "none": None},
    "steps": {"inbox": {"outcome": "delivered", "output": None}},
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


def true(condition: Condition | Fact) -> bool:
    return holds(as_condition(condition), VIEW)


def test_facts_are_compared() -> None:
    assert true(when("params.count") == 4)
    assert true(when("params.count") != 5)
    assert true(when("params.count") > 3)
    assert true(when("params.count") >= 4)
    assert true(when("params.count") < 4.5)
    assert true(when("params.count") <= 4)
    assert true(when("params.plan").in_(["free", "pro"]))
    assert true(when("params.user.age") > 30)
    assert true(when("steps.inbox.outcome") == "delivered")
    assert not true(when("params.count") > 4)
    assert not true(when("params.plan").in_(["free"]))


def test_a_fact_alone_asks_whether_it_is_true() -> None:
    assert true(when("params.urgent"))
    assert not true(when("params.tags"))
    assert not true(when("params.absent"))


def test_a_fact_exists_when_it_is_said() -> None:
    assert true(when("params.tags").exists())
    assert not true(when("params.none").exists())
    assert not true(when("params.absent").exists())


def test_what_cannot_be_compared_does_not_hold() -> None:
    assert not true(when("params.plan") > 3)
    assert not true(when("params.absent") < 3)
    assert not true(when("params.absent") == None)  # noqa: E711 - a fact that nobody has said is not None
    assert not true(when("params.urgent") == 1)
    assert not true(when("params.urgent") > 0)
    assert not true(when("params.plan.more"))


def test_conditions_are_combined() -> None:
    assert true(when("params.urgent") & (when("params.count") > 3))
    assert true(when("params.absent") | when("params.urgent"))
    assert true(~when("params.absent"))
    assert not true(~(when("params.urgent") | when("params.absent")))
    assert not true((when("params.count") > 3) & ~when("params.urgent"))


def test_and_or_and_not_are_refused_with_what_to_write() -> None:
    for taken in (when("params.a"), when("params.a") > 1, ~when("params.a")):
        with pytest.raises(NotifierInvalid, match=r"& for and"):
            bool(taken)


def test_a_comparison_without_parentheses_is_refused() -> None:
    with pytest.raises(NotifierInvalid, match="parentheses"):
        Deliver("a", channel="x", when=when("params.a") & when("params.b") == 3)  # type: ignore[arg-type]
    with pytest.raises(NotifierInvalid, match="parentheses"):
        when("params.a") | 3  # type: ignore[operator]


@pytest.mark.parametrize(
    "path",
    [
        "urgent",
        "params",
        "params.",
        "user.name",
        "recipient.email",
        "steps.inbox",
        "notification.archived",
        "",
    ],
)
def test_a_fact_that_nobody_says_is_refused(path: str) -> None:
    with pytest.raises(NotifierInvalid, match="is no fact"):
        Workflow("w", steps=[Deliver("a", channel="x", when=when(path)), Deliver("b", channel="x")])


def test_a_condition_sees_only_earlier_steps() -> None:
    for key in ("a", "b"):
        with pytest.raises(NotifierInvalid, match="no earlier step"):
            Workflow(
                "w",
                steps=[
                    Deliver("a", channel="x", when=when(f"steps.{key}.outcome")),
                    Deliver("b", channel="x"),
                ],
            )


def test_a_value_that_json_cannot_hold_is_refused() -> None:
    for value in (object(), float("nan"), (1, 2)):
        with pytest.raises(NotifierInvalid, match="JSON"):
            Workflow(
                "w",
                steps=[Deliver("a", channel="x", when=when("params.a") == value), Deliver("b", channel="x")],
            )


@pytest.mark.parametrize("values", ["pro", {"pro", "team"}, {"pro": 1}, 5, None])
def test_one_of_some_values_takes_a_list(values: Any) -> None:
    with pytest.raises(
        NotifierInvalid, match=r"when\('params.plan'\).*is a list, not .*write \.in_\(\[\.\.\.\]\)"
    ):
        when("params.plan").in_(values)


def refused(condition: Any, said: str, *earlier: Step) -> None:
    with pytest.raises(NotifierInvalid, match=said):
        Workflow("w", steps=[*earlier, Deliver("z", channel="x", when=condition)])


@pytest.mark.parametrize("value", [None, [1], True])
def test_an_order_is_one_of_numbers_or_texts(value: Any) -> None:
    refused(when("params.a") > value, "take a number or a text")


def test_a_step_is_asked_only_for_what_it_can_come_to() -> None:
    deliver = Deliver("a", channel="x", rules=[On("delivered", to="z")])
    gate = Gate("a", rules=[Wait(hours=1, to="z")])
    maybe = Gate("a", when=when("params.a"), rules=[Wait(hours=1, to="z")])
    outcome = when("steps.a.outcome")

    refused(
        outcome == "deliverd", "'deliverd' is no outcome of this deliver step; it has delivered, ", deliver
    )
    refused(outcome != "skipped", "'skipped' is no outcome", deliver)
    refused(outcome.in_(["delivered", None]), "None is no outcome", deliver)
    refused(outcome == "delivered", "a gate step has no outcome", gate)
    refused(outcome == "delivered", "'delivered' is no outcome of this gate step; it has skipped", maybe)
    refused(when("steps.a.output").exists(), "a deliver step writes nothing", deliver)
    for condition in (outcome.in_(["delivered", "bounced"]), outcome):
        assert Workflow("w", steps=[deliver, Deliver("z", channel="x", when=condition)]).steps
    assert Workflow("w", steps=[maybe, Deliver("z", channel="x", when=outcome == "skipped")]).steps


def test_equal_is_what_json_holds_to_be_the_same() -> None:
    same: list[tuple[Any, Any]] = [(1, 1.0), ("a", "a"), ([1, {"a": True}], [1, {"a": True}]), (None, None)]
    other: list[tuple[Any, Any]] = [(1, True), (0, False), (7, "7"), ([1], [True]), ({"a": 1}, {"a": True})]

    assert all(is_same(one, two) and is_same(two, one) for one, two in same)
    assert not any(is_same(one, two) or is_same(two, one) for one, two in other)


def test_conditions_are_not_too_deep() -> None:
    condition = as_condition(when("params.a"))
    for _ in range(30):
        condition = ~condition
    with pytest.raises(NotifierInvalid, match="deep"):
        Workflow("w", steps=[Deliver("a", channel="x", when=condition), Deliver("b", channel="x")])


@given(
    op=st.sampled_from(sorted(OPERATORS)),
    value=JSON,
    view=st.fixed_dictionaries({"params": st.dictionaries(st.just("a"), JSON)}),
)
def test_a_comparison_never_fails_and_survives_json(op: str, value: Any, view: Any) -> None:
    condition = Compare("params.a", op, (value,) if op == "in" else value)

    assert holds(condition, view) in {True, False}
    assert condition_from_json(condition_to_json(condition)) == condition
    assert holds(~condition, view) is not holds(condition, view)
