from __future__ import annotations

import copy
import enum
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import BaseModel, ConfigDict, Field, HttpUrl, TypeAdapter

from aquila.output import strictify

KNOWN = {
    "$defs", "$ref", "additionalProperties", "anyOf", "const", "description", "enum", "exclusiveMaximum",
    "exclusiveMinimum", "format", "items", "maxItems", "maximum", "minItems", "minimum", "multipleOf", "pattern",
    "properties", "required", "title", "type",
}  # fmt: skip


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"]


class Node(BaseModel):
    name: str = Field(min_length=2, max_length=9, pattern="^[a-z]+$", description="What it is called.")
    parent: Node | None = None
    twin: Node | None = Field(default=None, description="Its twin.")
    children: list[Node] = []


class Everything(BaseModel):
    node: Annotated[Node, Field(description="The first.")]
    pet: Cat | Dog = Field(discriminator="kind")
    color: Color = Color.RED
    pair: tuple[int, str] = (1, "a")
    unique: set[int] = Field(default=set(), min_length=1)
    url: HttpUrl | None = None
    price: Decimal = Field(gt=0)
    share: float = Field(ge=0, le=1, multiple_of=0.01)
    day: date
    at: datetime
    key: UUID
    mixed: Literal[1, "a"]


class Empty(BaseModel):
    pass


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    name: str


def schema_of(kind: Any) -> dict[str, Any]:
    return TypeAdapter(kind).json_schema()


def strict_of(kind: Any) -> dict[str, Any]:
    strict, obstacles = strictify(schema_of(kind))
    assert obstacles == ()
    return strict


def nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    inside = [*node.get("properties", {}).values(), *node.get("$defs", {}).values(), *node.get("anyOf", [])]
    for child in [*inside, *([node["items"]] if "items" in node else [])]:
        yield from nodes(child)


@pytest.mark.parametrize("kind", [Everything, Node, Empty, Cat])
def test_every_level_is_in_the_subset_that_strict_mode_takes(kind: Any) -> None:
    strict = strict_of(kind)

    assert strict["type"] == "object"
    for node in nodes(strict):
        assert node.keys() <= KNOWN
        assert node.keys() & {"type", "anyOf", "$ref"}
        assert "$ref" not in node or node.keys() == {"$ref"}
        if "properties" in node:
            assert (node["required"], node["additionalProperties"]) == (list(node["properties"]), False)


@pytest.mark.parametrize("kind", [Everything, Node, dict[str, int], list[Cat]])
def test_the_schema_given_is_not_changed_and_shares_nothing(kind: Any) -> None:
    schema = schema_of(kind)
    before = copy.deepcopy(schema)

    strict, _ = strictify(schema)
    for node in nodes(strict):
        node.get("enum", []).clear()
        node.get("required", []).clear()

    assert schema == before


def test_strict_schemas_stay_as_they_are() -> None:
    strict = strict_of(Everything)

    assert strictify(strict) == (strict, ())


def test_a_recursive_root_is_put_in_place_of_its_reference() -> None:
    strict = strict_of(Node)

    assert strict["properties"]["children"]["items"] == {"$ref": "#/$defs/Node"}
    assert strict["$defs"]["Node"]["properties"].keys() == strict["properties"].keys()


def test_what_stands_beside_a_reference_is_kept_without_it() -> None:
    assert strict_of(Everything)["properties"]["node"] == {
        "description": "The first.",
        "anyOf": [{"$ref": "#/$defs/Node"}],
    }


def test_one_of_becomes_any_of_without_a_discriminator() -> None:
    assert strict_of(Everything)["properties"]["pet"] == {
        "title": "Pet",
        "anyOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}],
    }


def test_an_all_of_of_one_is_dissolved() -> None:
    part = {"allOf": [{"type": "string", "description": "inner"}], "description": "outer"}

    strict, obstacles = strictify({"type": "object", "properties": {"a": part}})

    assert (strict["properties"]["a"], obstacles) == ({"type": "string", "description": "outer"}, ())


def test_a_root_behind_an_all_of_is_found() -> None:
    schema = {"$defs": {"A": {"type": "object", "properties": {}}}, "allOf": [{"$ref": "#/$defs/A"}]}

    strict, obstacles = strictify(schema)

    assert (strict["type"], obstacles) == ("object", ())


def test_what_strict_mode_refuses_is_told_to_the_model() -> None:
    told = {name: node.get("description") for name, node in strict_of(Everything)["properties"].items()}
    name = strict_of(Node)["properties"]["name"]

    assert name["description"] == "What it is called. (minLength: 2; maxLength: 9)"
    assert (name["pattern"], told["color"]) == ("^[a-z]+$", '(default: "red")')
    assert told["unique"] == "(default: []; uniqueItems: true)"
    assert told["pair"] == '(default: [1, "a"]; items in this order: integer, string)'


def test_a_default_of_null_is_dropped_without_a_word() -> None:
    assert strict_of(Node)["properties"]["parent"] == {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]}


def test_known_formats_stay_and_others_are_told() -> None:
    properties = strict_of(Everything)["properties"]

    assert [properties[name]["format"] for name in ("day", "at", "key")] == ["date", "date-time", "uuid"]
    assert properties["url"]["anyOf"][0]["description"].endswith("format: uri)")


def test_a_pattern_that_looks_around_is_told() -> None:
    part = {"type": "string", "pattern": "^(?!x).*$"}

    assert strictify({"type": "object", "properties": {"a": part}})[0]["properties"]["a"] == {
        "type": "string",
        "description": "(pattern: ^(?!x).*$)",
    }


def test_a_tuple_is_a_list_of_any_of_its_types() -> None:
    pair = strict_of(Everything)["properties"]["pair"]

    assert pair["items"] == {"anyOf": [{"type": "integer"}, {"type": "string"}]}
    assert (pair["minItems"], pair["maxItems"]) == (2, 2)


def test_values_of_several_types_get_their_types() -> None:
    assert strict_of(Everything)["properties"]["mixed"]["type"] == ["integer", "string"]


class Free(BaseModel):
    tags: dict[str, int]
    more: Any
    anything: list[Any]
    bare: list  # type: ignore[type-arg]
    inner: Open
    fine: int


def test_what_no_strict_schema_can_say_is_named_with_its_path() -> None:
    _, obstacles = strictify(schema_of(Free))

    assert [obstacle.partition(":")[0] for obstacle in obstacles] == [
        "tags", "more", "anything.items", "bare.items", "Open",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("schema", "obstacle"),
    [
        pytest.param({"type": "array", "items": {"type": "string"}}, "the root is no object", id="a list"),
        pytest.param({"anyOf": [{"type": "object"}]}, "the root is no object", id="a union"),
        pytest.param({"type": "object"}, "free keys", id="an object without a word about its keys"),
        pytest.param(
            {"type": "object", "properties": {}, "patternProperties": {"x": {}}}, "free keys", id="patterns of keys"
        ),
        pytest.param({"type": "object", "properties": {"a": True}}, "any value", id="true"),
        pytest.param({"type": "object", "properties": {"a": {"type": "array"}}}, "a list of anything", id="no items"),
        pytest.param(
            {"type": "object", "properties": {"a": {"$ref": "#/definitions/A"}}}, "not under", id="an unknown reference"
        ),
        pytest.param(
            {"type": "object", "properties": {"a": {"allOf": [{"type": "string"}, {"minLength": 1}]}}},
            "allOf of several", id="several schemas at once",
        ),
        pytest.param({"$defs": {"A": {"$ref": "#/$defs/A"}}, "$ref": "#/$defs/A"}, "no object", id="a circle"),
    ],
)  # fmt: skip
def test_a_schema_that_cannot_be_strict_is_reported(schema: dict[str, Any], obstacle: str) -> None:
    _, obstacles = strictify(schema)

    assert any(obstacle in line for line in obstacles)
