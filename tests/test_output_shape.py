from __future__ import annotations

import enum
import json
import pickle
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NewType, Union

import pytest
from pydantic import BaseModel, Field, RootModel, TypeAdapter, field_validator
from typing_extensions import TypeAliasType, TypedDict

from aquila.errors import ConfigError, OutputInvalid
from aquila.output import Shape


class Item(BaseModel):
    name: str
    price: float = 0.0


class Invoice(BaseModel):
    number: int = Field(alias="no")
    items: list[Item] = []


class Node(BaseModel):
    name: str
    children: list[Node] = []


@dataclass
class Point:
    x: int
    y: int = 0


class Address(TypedDict):
    street: str


class Color(enum.Enum):
    RED = "red"


class Numbers(RootModel[list[int]]):
    pass


class Box(BaseModel):
    anything: dict[str, int]


def refused(shape: Shape[Any], text: str) -> OutputInvalid:
    with pytest.raises(OutputInvalid) as caught:
        shape.validate(text)
    return caught.value


@pytest.mark.parametrize(
    ("kind", "text", "value", "wrapped"),
    [
        pytest.param(
            Invoice, '{"no": 1, "items": [{"name": "x", "price": 2}]}',
            Invoice(no=1, items=[Item(name="x", price=2)]), False, id="a model",
        ),
        pytest.param(Node, '{"name": "a", "children": []}', Node(name="a"), False, id="a recursive model"),
        pytest.param(Point, '{"x": 1, "y": 2}', Point(1, 2), False, id="a dataclass"),
        pytest.param(Address, '{"street": "s"}', {"street": "s"}, False, id="a TypedDict"),
        pytest.param(dict[str, int], '{"a": 1}', {"a": 1}, False, id="a dict"),
        pytest.param(list[Point], '{"result": [{"x": 1, "y": 0}]}', [Point(1)], True, id="a list of dataclasses"),
        pytest.param(Item | Point, '{"result": {"x": 1, "y": 0}}', Point(1), True, id="a union"),
        pytest.param(Item | None, '{"result": null}', None, True, id="an optional model"),
        pytest.param(int, '{"result": 3}', 3, True, id="an integer"),
        pytest.param(str, '{"result": "é"}', "é", True, id="text"),
        pytest.param(Literal["yes", "no"], '{"result": "no"}', "no", True, id="a Literal"),
        pytest.param(Color, '{"result": "red"}', Color.RED, True, id="an Enum"),
        pytest.param(tuple[int, str], '{"result": [1, "a"]}', (1, "a"), True, id="a tuple"),
        pytest.param(Numbers, '{"result": [1]}', Numbers([1]), True, id="a RootModel"),
        pytest.param(NewType("Metres", int), '{"result": 1}', 1, True, id="a NewType"),
        pytest.param(TypeAliasType("Ids", list[int]), '{"result": [1]}', [1], True, id="a named alias"),
        pytest.param(Any, '{"result": [1, null]}', [1, None], True, id="Any"),
    ],
)  # fmt: skip
def test_a_type_is_sent_as_an_object_and_comes_back(kind: Any, text: str, value: Any, wrapped: bool) -> None:
    shape = Shape.of(kind)

    assert (shape.schema.schema["type"], shape.schema.loose_schema["type"]) == ("object", "object")
    assert (shape.validate(text), shape.wrapped) == (value, wrapped)


def test_the_schema_is_strict_beside_the_one_its_author_wrote() -> None:
    schema = Shape.of(Item).schema

    assert (schema.strict, schema.schema["required"]) == (True, ["name", "price"])
    assert schema.loose_schema == TypeAdapter(Item).json_schema()


def test_a_type_without_a_strict_schema_says_why_and_is_sent_as_it_is() -> None:
    shape = Shape.of(Box)

    assert (shape.schema.strict, shape.schema.schema) == (False, shape.schema.loose_schema)
    assert shape.obstacles == ("anything: an object with free keys; give it a model with named fields",)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (Invoice, "Invoice"),
        (list[Invoice], "list_Invoice"),
        (Union[Item, Point], "Union_Item_Point"),  # noqa: UP007 - the other way of writing it
        (Literal["a b", 1], "Literal_a_b_1"),
        (Annotated[int, Field(ge=0, description="How many.")], "int"),
        (Numbers, "Numbers"),
        (type("Größe", (BaseModel,), {}), "Gr_e"),
        (type("尺寸", (BaseModel,), {}), "answer"),
        (type("x" * 100, (BaseModel,), {}), "x" * 64),
    ],
)
def test_the_name_is_one_that_a_provider_takes(kind: Any, name: str) -> None:
    made = Shape.of(kind).schema.name

    assert re.fullmatch("[a-zA-Z0-9_-]{1,64}", made)
    assert made == name


def test_the_same_type_is_worked_out_once() -> None:
    assert Shape.of(list[Item]) is Shape.of(list[Item])


def test_types_that_are_equal_but_written_differently_keep_their_order() -> None:
    names = [Shape.of(kind).schema.name for kind in (Item | Point, Point | Item)]

    assert names == ["Item_Point", "Point_Item"]


def test_metadata_that_cannot_be_hashed_does_no_harm() -> None:
    described = Annotated[int, Field(json_schema_extra={"examples": [1]}), {"a": []}]

    assert Shape.of(described).validate('{"result": 1}') == 1


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "a"}',
        ' \n{"name": "a"}\n ',
        '```json\n{"name": "a"}\n```',
        '\n```JSON {"name": "a"} ```\n',
        '```\n{"name": "a"}```',
    ],
)
def test_white_space_and_one_fence_around_the_json_are_allowed(text: str) -> None:
    assert Shape.of(Item).validate(text) == Item(name="a")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("", "there is no text", id="nothing"),
        pytest.param("```", "expected value at line 1 column 1", id="a fence and no more"),
        pytest.param("```json\n```", "there is no text", id="an empty fence"),
        pytest.param('Sure! {"name": "a"}', "line 1 column 1, at 'Sure!", id="talk"),
        pytest.param('{"name": "a"} Bye', "trailing characters at line 1 column 15", id="talk behind"),
        pytest.param(
            '{\n "name": é\n}', "expected value at line 2 column 10, at ' \"name\": é'", id="a word"
        ),
        pytest.param('{"name": "a', "EOF while parsing a string at line 1 column 11", id="cut off"),
        pytest.param("[" * 1000, "recursion limit exceeded", id="too deep"),
        pytest.param('{"name": "\ud800"}', "unicode", id="half a surrogate pair"),
    ],
)
def test_text_that_is_no_json_is_refused_with_the_place(text: str, said: str) -> None:
    error = refused(Shape.of(Item), text)

    assert said in error.problems[0]
    assert error.problems[0].startswith("(root): ")


def test_every_problem_names_its_field() -> None:
    error = refused(Shape.of(Invoice), '{"no": "x", "items": [{"name": "a"}, {"price": "much"}]}')

    assert [problem.partition(":")[0] for problem in error.problems] == [
        "no",
        "items.1.name",
        "items.1.price",
    ]
    assert str(error).startswith("the answer does not fit Invoice: no: Input should be a valid integer")
    assert "(2 more in .problems)" in str(error)


def test_the_refusal_never_holds_the_whole_answer_and_survives_pickling() -> None:
    secret = "s" * 10_000

    errors = [
        refused(Shape.of(Point), text)
        for text in (json.dumps({"x": secret}), f'{{"x": {secret}', json.dumps({"y": 1, "z": secret}))
    ]

    for error in errors:
        assert secret not in f"{error} {error.problems}"
        assert max(map(len, error.problems)) < 700
        assert pickle.loads(pickle.dumps(error)).problems == error.problems  # noqa: S301 - our own bytes


def test_the_repair_prompt_names_each_problem() -> None:
    shape = Shape.of(Point)

    prompt = shape.repair_prompt(refused(shape, '{"x": "a", "y": "b"}'))

    assert prompt.count("\n- ") == 2
    assert "- x: Input should be a valid integer" in prompt


@pytest.mark.parametrize(
    ("value", "remedy"),
    [
        pytest.param(None, "give a pydantic model", id="None"),
        pytest.param("Invoice", "give a pydantic model", id="a name"),
        pytest.param({"type": "object"}, "give a pydantic model", id="a schema"),
        pytest.param(3, "give a pydantic model", id="a number"),
        pytest.param(Item(name="a"), "give the class Item itself", id="a model's instance"),
        pytest.param(Point(1), "give the class Point itself", id="a dataclass's instance"),
        pytest.param(Callable[[], int], "no JSON schema can be made of Callable_int", id="a callable"),
        pytest.param(list["Nowhere"], "no JSON schema can be made of list_Nowhere", id="an unknown name"),  # type: ignore[name-defined]  # noqa: F821
        pytest.param(type("Plain", (), {}), "no JSON schema can be made of Plain", id="a plain class"),
    ],
)  # fmt: skip
def test_what_is_no_type_is_refused_with_a_remedy(value: Any, remedy: str) -> None:
    with pytest.raises(ConfigError, match=f"^output: .*{re.escape(remedy)}"):
        Shape.of(value)


@pytest.mark.parametrize(
    ("output_type", "text", "value"),
    [(list[int], "[1, 2]", [1, 2]), (int, "5", 5), (int | str, '"x"', "x"), (int | None, "null", None)],
)
def test_a_value_without_its_wrapping_is_what_was_asked_for(
    output_type: Any, text: str, value: object
) -> None:
    assert Shape.of(output_type).validate(text) == value


class Broken(BaseModel):
    total: int

    @field_validator("total")
    @classmethod
    def fail(cls, value: int) -> int:
        raise RuntimeError(f"no {value}")


def test_a_validator_that_breaks_does_not_cost_the_answer() -> None:
    with pytest.raises(OutputInvalid, match="RuntimeError: no 5"):
        Shape.of(Broken).validate('{"total": 5}')
