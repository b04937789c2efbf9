"""Tells whether a JSON Schema can hold a model to it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from aquila.output.strict import FORMATS

#: Keywords that OpenAI's strict mode takes; any other makes it refuse the whole request.
_KEYWORDS = frozenset({
    "$defs", "$ref", "additionalProperties", "anyOf", "const", "description", "enum", "exclusiveMaximum",
    "exclusiveMinimum", "format", "items", "maxItems", "maximum", "minItems", "minimum", "multipleOf", "pattern",
    "properties", "required", "title", "type",
})  # fmt: skip


def why_not_strict(schema: Mapping[str, Any]) -> str | None:
    """Say why a schema cannot hold a model to it; None when it can.

    Strict mode wants every property required and no others, at every level, in a subset of JSON Schema.
    """
    return next(_reasons(schema, ""), None)


def _reasons(node: Any, path: str) -> Iterator[str]:
    where = path.removeprefix(".") or "the schema"
    if not isinstance(node, Mapping):
        yield f"{where} is no schema"
        return
    yield from (f"{where} uses {keyword!r}" for keyword in sorted(set(node) - _KEYWORDS))
    if node.get("format", "date") not in FORMATS:
        yield f"{where} has the format {node['format']!r}"
    if "$ref" in node and len(node) > 1:
        yield f"{where} says more than its $ref"
    if not {"$ref", "type", "anyOf", "enum", "const"} & set(node):
        yield f"{where} may be anything"
    if node.get("type") == "object":
        yield from _object_reasons(node, where)
    if node.get("type") == "array" and "items" not in node:
        yield f"{where} may hold anything"
    for part, child in _children(node, path):
        yield from _reasons(child, part)


def _object_reasons(node: Mapping[str, Any], where: str) -> Iterator[str]:
    optional = sorted(set(node.get("properties", {})) - set(node.get("required", [])))
    yield from (f"{name!r} in {where} is optional" for name in optional)
    if node.get("additionalProperties") is not False:
        yield f"{where} takes further properties"


def _children(node: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    for name, child in {**node.get("properties", {}), **node.get("$defs", {})}.items():
        yield f"{path}.{name}", child
    for option in node.get("anyOf", []):
        yield path, option
    if "items" in node:
        yield f"{path}[]", node["items"]
