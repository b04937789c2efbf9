from __future__ import annotations

import enum
import json
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from aquila.errors import ToolError
from aquila.tool_call import ToolCall
from aquila.tools import Context, tool
from aquila.tools.arguments import TypedArguments


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Node(BaseModel):
    value: int
    children: list[Node] = []


@dataclass
class Point:
    x: int
    y: int = 0


def fill(function: Any, **values: Any) -> dict[str, Any]:
    call = ToolCall("1", "f", values)
    return TypedArguments(function, {}).bind(values, Context(value="here", call=call)).arguments


def test_arguments_come_as_the_annotated_types() -> None:
    def f(day: date, colour: Colour, at: Point, price: Decimal, *, tree: Node, tags: set[str]) -> None: ...

    filled = fill(
        f,
        day="2026-11-24",
        colour="blue",
        at={"x": "3"},
        price="1.50",
        tree={"value": 1, "children": [{"value": 2}]},
        tags=["a", "a"],
    )

    assert filled == {
        "day": date(2026, 11, 24),
        "colour": Colour.BLUE,
        "at": Point(3),
        "price": Decimal("1.50"),
        "tree": Node(value=1, children=[Node(value=2)]),
        "tags": {"a"},
    }


def test_what_does_not_fit_is_told_field_by_field_and_not_repeated() -> None:
    def f(city: str, days: int, at: Point) -> None: ...

    with pytest.raises(ToolError) as caught:
        fill(f, days="xyzzy", at={"y": 1}, colour="red")

    assert str(caught.value).splitlines()[1:] == [
        "city: Field required",
        "days: Input should be a valid integer, unable to parse string as an integer",
        "at.x: Field required",
        "colour: Extra inputs are not permitted",
    ]
    assert "xyzzy" not in str(caught.value)


def test_a_parameter_may_have_any_name() -> None:
    def f(
        *, json: int, model_config: int, self: int, model_fields: int, _private: int, schema: int, copy: int
    ) -> None: ...

    names = ["json", "model_config", "self", "model_fields", "_private", "schema", "copy"]

    assert fill(f, **dict.fromkeys(names, 1)) == dict.fromkeys(names, 1)
    assert list(TypedArguments(f, {}).schema["properties"]) == names


def test_defaults_are_the_functions_own_and_shown_where_they_are_json() -> None:
    marker = object()

    def f(tags: list[str] = ["a"], day: date = date(2026, 1, 1), other: Any = marker, n: int = 3) -> None: ...  # noqa: B006

    arguments = TypedArguments(f, {})
    filled = fill(f)
    filled["tags"].append("b")

    properties = arguments.schema["properties"]
    assert filled["other"] is marker
    assert [properties[name].get("default") for name in ("tags", "day", "other", "n")] == [
        ["a"], "2026-01-01", None, 3,
    ]  # fmt: skip
    assert "required" not in arguments.schema


def test_a_field_says_limits_description_and_default() -> None:
    def f(
        n: Annotated[int, Field(gt=0, description="How many.")],
        m: int = Field(default=5, description="More."),
        k: int = Field(description="Needed."),
    ) -> None: ...

    arguments = TypedArguments(f, {"n": "not this", "m": "nor this"})

    assert arguments.schema["properties"] == {
        "n": {"exclusiveMinimum": 0, "type": "integer", "description": "How many."},
        "m": {"default": 5, "type": "integer", "description": "More."},
        "k": {"type": "integer", "description": "Needed."},
    }
    assert arguments.schema["required"] == ["n", "k"]
    assert fill(f, n=1, k=2) == {"n": 1, "m": 5, "k": 2}
    with pytest.raises(ToolError, match="n: Input should be greater than 0"):
        fill(f, n=0, k=2)


def test_a_context_is_put_in_and_not_told_to_the_model() -> None:
    def f(ctx: Context[str], city: str, other: Context[Any] | None = None, bare: Context = None) -> None: ...  # type: ignore[type-arg, assignment]

    filled = fill(f, city="Rome")

    assert list(TypedArguments(f, {}).schema["properties"]) == ["city"]
    assert {filled[name].value for name in ("ctx", "other", "bare")} == {"here"}
    with pytest.raises(ToolError, match="ctx: Extra inputs"):
        fill(f, city="Rome", ctx={"value": "mine"})


def test_parameters_by_position_only_are_filled_too() -> None:
    def f(a: int, b: int = 2, /, c: int = 3, *, d: int = 4) -> tuple[int, ...]:
        return (a, b, c, d)

    bound = TypedArguments(f, {}).bind({"a": 1, "d": 9}, Context(value=None, call=ToolCall("1", "f", {})))

    assert f(*bound.args, **bound.kwargs) == (1, 2, 3, 9)


def test_a_function_may_change_its_arguments_and_the_call_stays_as_it_was() -> None:
    def f(payload: Any) -> None: ...

    call = ToolCall("1", "f", {"payload": {"a": [1]}})
    bound = TypedArguments(f, {}).bind(call.arguments or {}, Context(value=None, call=call))
    bound.arguments["payload"]["a"].append(2)

    assert call.arguments == {"payload": {"a": [1]}}


def test_a_recursive_model_stays_a_definition_and_others_are_put_in_place() -> None:
    def f(tree: Node, at: Point, colour: Colour) -> None: ...

    schema = TypedArguments(f, {"at": "Where."}).schema

    assert list(schema["$defs"]) == ["Node"]
    assert schema["properties"]["tree"] == {"$ref": "#/$defs/Node"}
    assert schema["properties"]["at"]["description"] == "Where."
    assert schema["properties"]["colour"]["enum"] == ["red", "blue"]


def test_a_parameter_without_annotation_takes_anything() -> None:
    def f(x) -> None: ...  # type: ignore[no-untyped-def]

    assert fill(f, x=[1, {"a": None}]) == {"x": [1, {"a": None}]}
    assert not tool(f).strict


@given(
    st.fixed_dictionaries(
        {},
        optional={
            name: st.recursive(
                st.none() | st.booleans() | st.integers() | st.text(),
                lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
                max_leaves=5,
            )
            for name in ("city", "days", "tree", "extra")
        },
    )
)
def test_whatever_the_model_writes_fits_or_is_told_what_does_not(values: dict[str, Any]) -> None:
    def f(city: str, days: int = 1, tree: Node | None = None) -> None: ...

    fits = isinstance(values.get("city"), str) and set(values) <= {"city"}
    try:
        filled = fill(f, **json.loads(json.dumps(values)))
    except ToolError:
        assert not fits
    else:
        assert isinstance(filled["city"], str)
        assert isinstance(filled["days"], int)
        assert filled["tree"] is None or isinstance(filled["tree"], Node)
