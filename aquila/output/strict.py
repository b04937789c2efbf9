"""From a JSON Schema as pydantic writes it to the subset that OpenAI's strict mode takes. Pure.

Strict mode refuses the request for any keyword it does not know. What it cannot enforce is told to the model in the
description and checked when the answer is there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

_KEPT = {
    "$ref", "type", "title", "description", "enum", "const", "pattern", "format", "multipleOf", "minimum", "maximum",
    "exclusiveMinimum", "exclusiveMaximum", "minItems", "maxItems",
}  # fmt: skip
#: Refused, but worth a word to the model; every other unknown keyword says nothing about the answer.
_TOLD = (
    "default",
    "minLength",
    "maxLength",
    "uniqueItems",
    "minProperties",
    "maxProperties",
    "examples",
    "not",
)
#: Formats that strict mode takes.
FORMATS = {"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"}
_LOOKAROUND = re.compile(r"\(\?<?[=!]")
_JSON_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}
_DEFINITION = "#/$defs/"


def strictify(schema: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Rewrite a schema for strict mode: every property required and no others, at each level.

    Args:
        schema: The schema, with its definitions under `$defs`; it is not changed.

    Returns:
        The strict schema, and what stands in its way, one `path: reason` each. If there is such a thing, the schema is
        not strict and must be sent as it was, without `strict`.
    """
    root = open_root(deepcopy(dict(schema)))
    walk = _Walk(root.get("$defs") or {})
    strict = walk.node(root, "")
    if strict.get("type") != "object" or "anyOf" in strict:
        walk.refuse("", "the root is no object")
    definitions = {name: walk.node(node, name) for name, node in walk.definitions.items()}
    if definitions:
        strict["$defs"] = definitions
    return strict, tuple(walk.obstacles)


def open_root(root: dict[str, Any]) -> dict[str, Any]:
    """Put what the root refers to in its place: a recursive model's schema is only a reference to itself.

    Args:
        root: The schema, with its definitions under `$defs`; it is not changed.
    """
    definitions = root.get("$defs") or {}
    root = _merged(root)
    # Each definition is entered once at most, so references in a circle end too.
    for _ in range(len(definitions) + 1):
        name = str(root.get("$ref", "")).removeprefix(_DEFINITION)
        if not isinstance(definitions.get(name), dict):
            break
        root = _merged({**deepcopy(definitions[name]), **_without(root, "$ref")})
    return root


def _without(node: dict[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in node.items() if key not in names}


def _merged(node: dict[str, Any]) -> dict[str, Any]:
    """Dissolve an `allOf` of one; what stands beside it wins."""
    parts = node.get("allOf")
    if isinstance(parts, list) and len(parts) == 1 and isinstance(parts[0], dict):
        return _merged({**parts[0], **_without(node, "allOf")})
    return node


class _Walk:
    """One pass over a schema; notes what no strict schema can say."""

    def __init__(self, definitions: dict[str, Any]) -> None:
        self.definitions = definitions
        self.obstacles: list[str] = []

    def refuse(self, path: str, reason: str) -> None:
        self.obstacles.append(f"{path or '(root)'}: {reason}")

    def node(self, node: Any, path: str) -> dict[str, Any]:
        if not isinstance(node, dict):
            self.refuse(path, "any value is allowed")
            return {}
        node = _merged(node)
        strict = {key: value for key, value in node.items() if key in _KEPT}
        told = [f"{key}: {_said(node[key])}" for key in _TOLD if node.get(key) is not None]
        self._check_text(strict, told)
        self._union(node, strict, path)
        self._object(node, strict, path)
        self._array(node, strict, told, path)
        _add_type(strict)
        if told:
            strict["description"] = " ".join(
                [*filter(None, [node.get("description")]), f"({'; '.join(told)})"]
            )
        return self._checked(node, strict, path)

    def _check_text(self, strict: dict[str, Any], told: list[str]) -> None:
        if "format" in strict and strict["format"] not in FORMATS:
            told.append(f"format: {strict.pop('format')}")
        if "pattern" in strict and _LOOKAROUND.search(str(strict["pattern"])):
            told.append(f"pattern: {strict.pop('pattern')}")

    def _union(self, node: dict[str, Any], strict: dict[str, Any], path: str) -> None:
        choices = node.get("anyOf") or node.get("oneOf")
        if choices:
            strict["anyOf"] = [self.node(choice, path) for choice in choices]

    def _object(self, node: dict[str, Any], strict: dict[str, Any], path: str) -> None:
        types = node.get("type")
        if (
            "properties" not in node
            and types != "object"
            and not (isinstance(types, list) and "object" in types)
        ):
            return
        more = node.get("additionalProperties")
        # Neither properties nor a word about others means any key, whereas a model without fields has `{}`.
        closed = more is False or (more is None and "properties" in node)
        if not closed or node.get("patternProperties"):
            self.refuse(path, "an object with free keys; give it a model with named fields")
        properties = node.get("properties") or {}
        strict["properties"] = {
            name: self.node(value, f"{path}.{name}" if path else name) for name, value in properties.items()
        }
        strict["required"] = list(properties)
        strict["additionalProperties"] = False

    def _array(self, node: dict[str, Any], strict: dict[str, Any], told: list[str], path: str) -> None:
        if "items" not in node and "prefixItems" not in node:
            if node.get("type") == "array":
                self.refuse(path, "a list of anything; give its items a type")
            return
        inside = f"{path}.items" if path else "items"
        listed = [self.node(item, inside) for item in node.get("prefixItems") or []]
        # After a tuple's items `items: false` says that there are no more, as maxItems does.
        if node.get("items") or not listed:
            listed.append(self.node(node.get("items"), inside))
        kinds = [kind for index, kind in enumerate(listed) if kind not in listed[:index]]
        strict["items"] = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
        if len(kinds) > 1:
            told.append("items in this order: " + ", ".join(_label(item) for item in listed))

    def _checked(self, node: dict[str, Any], strict: dict[str, Any], path: str) -> dict[str, Any]:
        if "allOf" in node:
            self.refuse(path, "allOf of several schemas")
        elif not strict.keys() & {"type", "$ref", "anyOf", "enum", "const"}:
            self.refuse(path, "any value is allowed; give it a type")
        reference = strict.get("$ref")
        if reference is None:
            return strict
        if reference != "#" and str(reference).removeprefix(_DEFINITION) not in self.definitions:
            self.refuse(path, f"{reference} is not under $defs")
        # Nothing may stand beside `$ref`, but anything beside `anyOf`; putting the definition here instead would
        # not end when the type contains itself.
        beside = _without(strict, "$ref")
        return {**beside, "anyOf": [{"$ref": reference}]} if beside else strict


def _add_type(strict: dict[str, Any]) -> None:
    """Name the types of `enum` or `const`: values of several types come without."""
    if "type" in strict or not strict.keys() & {"enum", "const"}:
        return
    values = strict["enum"] if "enum" in strict else [strict["const"]]
    names = list(dict.fromkeys(_JSON_TYPES[type(value)] for value in values if type(value) in _JSON_TYPES))
    if names:
        strict["type"] = names[0] if len(names) == 1 else names


def _said(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _label(item: dict[str, Any]) -> str:
    return str(item.get("type") or str(item.get("$ref", "value")).removeprefix(_DEFINITION))
