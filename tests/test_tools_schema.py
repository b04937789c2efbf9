from __future__ import annotations

from typing import Any

from aquila.tools.schema import flatten


def test_definitions_go_where_they_are_used_and_objects_are_closed() -> None:
    point = {"type": "object", "properties": {"x": {"type": "integer"}}, "description": "A point."}
    schema = {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/P", "description": "Here."}, "b": {"$ref": "#/$defs/P"}},
        "$defs": {"P": point},
    }

    flat = flatten(schema)

    closed = {**point, "additionalProperties": False}
    assert flat == {
        "type": "object",
        "properties": {"a": {**closed, "description": "Here."}, "b": closed},
        "additionalProperties": False,
    }
    assert "additionalProperties" not in point


def test_definitions_that_need_each_other_stay() -> None:
    link: dict[str, Any] = {"type": "object", "properties": {"next": {"$ref": "#/$defs/B"}}}
    schema = {
        "$defs": {
            "A": link,
            "B": {"anyOf": [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/C"}]},
            "C": {"type": "null"},
        },
        "properties": {"a": {"$ref": "#/$defs/A"}},
    }

    flat = flatten(schema)

    assert list(flat["$defs"]) == ["A", "B"]
    assert flat["$defs"]["B"] == {"anyOf": [{"$ref": "#/$defs/A"}, {"type": "null"}]}


def test_properties_may_be_called_like_keywords() -> None:
    names = ["default", "enum", "properties", "$ref", "$defs", "type", "discriminator", "title"]
    schema = {
        "type": "object",
        "properties": {name: {"$ref": "#/$defs/P"} for name in names},
        "$defs": {"P": {"type": "string"}},
    }

    assert flatten(schema)["properties"] == {name: {"type": "string"} for name in names}


def test_free_objects_and_default_values_stay_as_they_are() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "object", "additionalProperties": True, "default": {"$ref": "x"}}},
        "additionalProperties": {"type": "string"},
    }

    assert flatten(schema) == schema
