from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from aquila.errors import ConfigError, ToolError
from aquila.tool_call import ToolCall
from aquila.tools import Context, tool
from aquila.tools.raw_arguments import RawArguments

SCHEMA = {
    "properties": {
        "city": {"type": "string"},
        "days": {"type": ["integer", "null"]},
        "unit": {"enum": ["c", "f"]},
        "ratio": {"type": "number"},
        "deep": {"type": "object", "properties": {"x": {"type": "string"}}},
    },
    "required": ["city"],
    "additionalProperties": False,
}


def anything(ctx: Context[Any], **values: Any) -> Any:
    return ctx.value, values


def fill(function: Any, schema: Any, **values: Any) -> dict[str, Any]:
    call = ToolCall("1", "f", values)
    return RawArguments(function, schema).bind(values, Context(value="here", call=call)).arguments


def test_a_raw_schema_is_sent_as_it_is_and_arguments_are_passed_as_written() -> None:
    made = tool(anything, parameters=SCHEMA)

    filled = fill(anything, SCHEMA, city="Rome", days=2.0, ratio=1, deep={"x": 3})

    assert made.parameters == {"type": "object", **SCHEMA}
    assert not made.strict
    assert filled["values"] == {"city": "Rome", "days": 2.0, "ratio": 1, "deep": {"x": 3}}
    assert filled["ctx"].value == "here"


def test_names_kinds_and_choices_are_checked_at_the_top_level() -> None:
    with pytest.raises(ToolError) as caught:
        fill(anything, SCHEMA, days=True, unit="k", town="Rome", ratio="1")

    assert str(caught.value).splitlines()[1:] == [
        "city: Field required",
        "town: Extra inputs are not permitted",
        "days: must be of type integer or null",
        "unit: must be one of 'c', 'f'",
        "ratio: must be of type number",
    ]


def test_arguments_the_function_does_not_take_are_told_to_the_model() -> None:
    def f(city: str) -> str:
        return city

    with pytest.raises(ToolError, match="unexpected keyword argument 'town'"):
        fill(f, {"type": "object"}, city="Rome", town="Rome")


def test_the_model_fills_neither_the_context_nor_what_a_partial_bound() -> None:
    bound = partial(anything, key="secret")

    with pytest.raises(ToolError) as caught:
        fill(bound, {"type": "object"}, key="mine", ctx=1)

    assert str(caught.value).splitlines()[1:] == [
        "ctx: is not the model's to fill",
        "key: is not the model's to fill",
    ]


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ("string", "is no dict"),
        ({"type": "array"}, "describes no object"),
        ({"properties": []}, "describes no object"),
        ({"properties": {"x": {"default": object()}}}, "is no JSON"),
    ],
)
def test_a_schema_that_cannot_be_sent_is_refused(schema: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        tool(anything, parameters=schema)
