"""JSON Schemas as providers like them: flat and closed. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_PREFIX = "#/$defs/"
#: Keywords whose values are no schemas.
_DATA = frozenset({"const", "default", "enum", "examples", "properties"})


def flatten(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Put each definition where it is used, as many servers know no `$ref`, and close the objects.

    A recursive definition stays a definition. An object whose schema does not say whether it takes further
    properties takes none.
    """
    definitions: Mapping[str, Any] = schema.get("$defs", {})
    recursive = {name for name in definitions if name in _reachable(name, definitions)}
    body = {key: value for key, value in schema.items() if key != "$defs"}
    flat: dict[str, Any] = _flat(body, definitions, recursive)
    if recursive:
        flat["$defs"] = {name: _flat(definitions[name], definitions, recursive) for name in sorted(recursive)}
    return flat


def _flat(node: Any, definitions: Mapping[str, Any], recursive: set[str]) -> Any:
    if isinstance(node, list):
        return [_flat(item, definitions, recursive) for item in node]
    if not isinstance(node, Mapping):
        return node
    name = _reference(node)
    if name in definitions and name not in recursive:
        # What stands beside a reference, a description say, is meant for this place and goes before.
        beside = {key: value for key, value in node.items() if key != "$ref"}
        return _flat({**definitions[name], **beside}, definitions, recursive)
    flat = {
        key: value if key in _DATA else _flat(value, definitions, recursive) for key, value in node.items()
    }
    # It names definitions, for OpenAPI's sake; the schema says the same without it.
    flat.pop("discriminator", None)
    properties = node.get("properties")
    if isinstance(properties, Mapping):
        # Their names are the author's, and may be those of keywords.
        flat["properties"] = {key: _flat(value, definitions, recursive) for key, value in properties.items()}
        flat.setdefault("additionalProperties", False)
    return flat


def _reachable(start: str, definitions: Mapping[str, Any]) -> set[str]:
    found: set[str] = set()
    waiting: list[Any] = [definitions[start]]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting.extend(node)
        elif isinstance(node, Mapping):
            name = _reference(node)
            if name in definitions and name not in found:
                found.add(name)
                waiting.append(definitions[name])
            waiting.extend(node.values())
    return found


def _reference(node: Mapping[str, Any]) -> str:
    # A property may be called `$ref`; its value is a schema then, and no text.
    target = node.get("$ref")
    return target.removeprefix(_PREFIX) if isinstance(target, str) else ""
