from __future__ import annotations

import inspect
import math
from functools import partial
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from aquila.errors import ConfigError
from aquila.tool_call import ToolCall
from aquila.tools import Context, Tool, tool


class Address(BaseModel):
    street: str
    city: str


def weather(city: str, unit: Literal["c", "f"] = "c") -> str:
    """Look the weather up.

    Args:
        city: The city's name,
            in English.
        unit: Degrees.

    Raises:
        ValueError: Never.
    """
    return f"{city} {unit}"


class Desk:
    """A help desk."""

    def __init__(self, name: str) -> None:
        self.name = name

    def ask(self, question: str) -> str:
        """Ask the desk."""
        return f"{self.name}: {question}"

    @tool(timeout=3.0)
    def call(self, number: int) -> str:
        """Call the desk."""
        return f"{self.name} {number}"

    def __call__(self, topic: str) -> str:
        """Tell the desk."""
        return f"{self.name} knows {topic}"


def bind(made: Tool[..., Any], **values: Any) -> inspect.BoundArguments:
    call = ToolCall("1", made.name, values)
    return made.arguments.bind(values, Context(value=None, call=call))


def test_a_function_tells_the_model_its_name_what_it_does_and_what_it_takes() -> None:
    spec = tool(weather).spec

    assert spec.name == "weather"
    assert spec.description == "Look the weather up."
    assert spec.parameters == {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "The city's name, in English."},
            "unit": {"enum": ["c", "f"], "type": "string", "description": "Degrees.", "default": "c"},
        },
        "required": ["city"],
        "additionalProperties": False,
    }


def test_a_schema_is_strict_where_every_property_is_required_and_never_otherwise() -> None:
    def move(to: Address) -> None: ...

    def nothing() -> None: ...

    assert tool(move).strict
    assert tool(nothing).strict
    assert not tool(weather).strict
    assert not tool(move, strict=False).strict
    with pytest.raises(ConfigError, match=r"weather\(\): strict=True, but 'unit' in the schema is optional"):
        tool(weather, strict=True)


def test_the_options_of_the_decorator_go_before_what_the_function_says() -> None:
    @tool(name="forecast", description="Say it.", timeout=2, needs_approval=True)
    def weather_of(city: str) -> str:
        """Not this."""
        return city

    assert (weather_of.name, weather_of.description) == ("forecast", "Say it.")
    assert (weather_of.timeout, weather_of.needs_approval) == (2.0, True)
    assert weather_of("Rome") == "Rome"


def test_a_tool_can_be_made_anew_with_other_options() -> None:
    first = tool(weather, name="a", timeout=1.0)

    second = tool(first, name="b")

    assert (second.name, second.timeout, second.function) == ("b", 1.0, weather)


def test_methods_partials_and_callable_objects_are_tools() -> None:
    desk = Desk("one")

    asked, called, told = tool(desk.ask), desk.call, tool(desk)
    bound = tool(partial(weather, unit="f"))

    assert (asked.name, asked.description) == ("ask", "Ask the desk.")
    assert (called.name, called.timeout, called(number=2)) == ("call", 3.0, "one 2")
    assert (told.name, told.description) == ("Desk", "Tell the desk.")
    assert [list(one.parameters["properties"]) for one in (asked, called, told)] == [
        ["question"], ["number"], ["topic"],
    ]  # fmt: skip
    assert (bound.name, list(bound.parameters["properties"])) == ("weather", ["city"])
    assert bound.function(**bind(bound, city="Rome").arguments) == "Rome f"
    assert Desk.call.name == "call"


def test_what_a_partial_has_bound_is_not_the_models_to_change() -> None:
    def fetch(url: str, key: str) -> str:
        return url + key

    made = tool(partial(fetch, key="secret"))

    with pytest.raises(Exception, match="key: Extra inputs"):
        bind(made, url="u", key="mine")
    assert "secret" not in str(made.parameters)


def test_what_cannot_be_a_tool_is_refused_by_name() -> None:
    def many(*cities: str) -> None: ...

    def free(**cities: str) -> None: ...

    def steps(n: int) -> Any:
        yield n

    def unknown(x: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    def opaque(x: object, y: inspect.Signature) -> None: ...

    for function, said in (
        (many, r"many\(\) takes \*args"),
        (free, r"free\(\) takes \*\*cities"),
        (steps, r"steps\(\) yields"),
        (unknown, r"unknown\(\): an annotation cannot be resolved.*Nowhere"),
        (opaque, r"opaque\(\): its parameters have no JSON Schema"),
        (Address, "Address is a class"),
        (3, "3 is no function"),
        (lambda: None, "name '<lambda>' cannot be sent"),
        (type, "is a class"),
    ):
        with pytest.raises(ConfigError, match=said):
            tool(function)  # type: ignore[call-overload]


@pytest.mark.parametrize("seconds", [0, -1, True, "3", math.nan])
def test_a_time_limit_is_seconds_above_zero(seconds: Any) -> None:
    with pytest.raises(ConfigError, match="must be seconds above 0"):
        tool(weather, timeout=seconds)


def test_no_time_limit_is_infinity() -> None:
    assert tool(weather, timeout=math.inf).timeout == math.inf


def test_an_unknown_option_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="nmae"):
        tool(nmae="x")  # type: ignore[call-overload]
