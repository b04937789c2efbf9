"""Arguments by a schema the user wrote: checked at their surface, and passed as they are."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from inspect import BoundArguments
from typing import Any

from pydantic_core import PydanticSerializationError, to_json

from aquila.errors import ConfigError, ToolError
from aquila.tools.arguments import misfit
from aquila.tools.context import Context
from aquila.tools.signature import read_parameters

_TYPES: dict[str, tuple[type, ...]] = {
    "array": (list, tuple),
    "boolean": (bool,),
    "integer": (int,),
    "null": (type(None),),
    "number": (int, float),
    "object": (Mapping,),
    "string": (str,),
}


class RawArguments:
    """Arguments as a raw JSON Schema describes them.

    The check is that of the top level: names, kinds and `enum`, where models go wrong. What is deeper is the
    function's to judge; its author wrote the schema by hand and gets the values as the model wrote them.

    Raises:
        ConfigError: The schema is no JSON Schema of an object, or the signature cannot be read.
    """

    def __init__(self, function: Callable[..., Any], schema: Mapping[str, Any]) -> None:
        self._parameters = read_parameters(function)
        #: The JSON Schema that the model is told.
        self.schema: Mapping[str, Any] = _checked(schema, self._parameters.label)

    def bind(self, values: Mapping[str, Any], context: Context[Any]) -> BoundArguments:
        """Give what to call the function with.

        Raises:
            ToolError: The values do not fit; the message names each one that does not.
        """
        problems = list(_problems(values, self.schema))
        taken = [
            f"{name}: is not the model's to fill" for name in sorted(self._parameters.hidden & set(values))
        ]
        if problems or taken:
            raise ToolError(misfit([*problems, *taken]))
        given = copy.deepcopy(dict(values))
        given.update(dict.fromkeys(self._parameters.contexts, context))
        try:
            bound = self._parameters.signature.bind(**given)
        except TypeError as error:
            raise ToolError(misfit([str(error)])) from error
        bound.apply_defaults()
        return bound


def _checked(schema: Any, label: str) -> dict[str, Any]:
    wanted = 'give a JSON Schema: {"type": "object", "properties": {...}}'
    if not isinstance(schema, Mapping):
        raise ConfigError(f"tool {label}: parameters={schema!r} is no dict; {wanted}")
    whole = {"type": "object", "properties": {}, **copy.deepcopy(dict(schema))}
    if whole["type"] != "object" or not isinstance(whole["properties"], Mapping):
        raise ConfigError(f"tool {label}: parameters= describes no object with properties; {wanted}")
    try:
        to_json(whole)
    except PydanticSerializationError as error:
        raise ConfigError(f"tool {label}: parameters= is no JSON ({error}); {wanted}") from error
    return whole


def _problems(values: Mapping[str, Any], schema: Mapping[str, Any]) -> list[str]:
    properties: Mapping[str, Any] = schema["properties"]
    missing = [f"{name}: Field required" for name in schema.get("required", ()) if name not in values]
    closed = schema.get("additionalProperties") is False
    unknown = [
        f"{name}: Extra inputs are not permitted" for name in values if closed and name not in properties
    ]
    wrong = [_mistake(name, value, properties.get(name)) for name, value in values.items()]
    return [*missing, *unknown, *(problem for problem in wrong if problem)]


def _mistake(name: str, value: Any, schema: Any) -> str | None:
    if not isinstance(schema, Mapping):
        return None
    if "enum" in schema and value not in schema["enum"]:
        return f"{name}: must be one of {', '.join(repr(one) for one in schema['enum'])}"
    types = schema.get("type")
    kinds = [types] if isinstance(types, str) else types
    if not kinds or any(_is_kind(value, kind) for kind in kinds):
        return None
    return f"{name}: must be of type {' or '.join(kinds)}"


def _is_kind(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    # A kind that this page does not know is the provider's to judge.
    return kind not in _TYPES or isinstance(value, _TYPES[kind])
