from __future__ import annotations

from typing import Any

import pytest

from aquila.tools.strictness import why_not_strict


def closed(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def test_required_and_closed_at_every_level_is_strict() -> None:
    schema = closed(
        a={"anyOf": [closed(b={"type": "integer", "minimum": 1}), {"type": "null"}]},
        c={"type": "array", "items": closed(d={"const": 1})},
        e={"$ref": "#/$defs/E"},
        f={"type": "string", "format": "date"},
    )

    assert why_not_strict({**schema, "$defs": {"E": closed(e={"$ref": "#/$defs/E"})}}) is None
    assert why_not_strict(closed()) is None


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({**closed(a={"type": "string"}), "required": []}, "'a' in the schema is optional"),
        (closed(a={"type": "object", "properties": {}}), "a takes further properties"),
        (closed(a={}), "a may be anything"),
        (closed(a={"type": "array"}), "a may hold anything"),
        (closed(a={"type": "array", "items": {}}), "a[] may be anything"),
        (closed(a={"type": "string", "format": "uri"}), "a has the format 'uri'"),
        (closed(a={"type": "string", "default": "x"}), "a uses 'default'"),
        (closed(a={"$ref": "#/$defs/X", "description": "x"}), "a says more than its $ref"),
        (closed(a={"anyOf": [{"type": "null"}, closed(b=True)]}), "a.b is no schema"),
    ],
)
def test_the_reason_names_the_place(schema: dict[str, Any], reason: str) -> None:
    assert why_not_strict(schema) == reason
