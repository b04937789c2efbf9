"""A tool's arguments: the schema the model is told, and what the function is called with."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from inspect import BoundArguments, Parameter
from typing import Annotated, Any, Protocol, get_args, get_origin

import typing_extensions
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import PydanticSerializationError, SchemaError, to_jsonable_python

from aquila.errors import ConfigError, ToolError
from aquila.tools.context import Context
from aquila.tools.schema import flatten
from aquila.tools.signature import Parameters, read_parameters

# On older Pythons pydantic wants this one; made by a call, as the names are known only then.
_make_typed_dict: Any = typing_extensions.TypedDict


class Arguments(Protocol):
    """Turns what the model wrote into a function's arguments."""

    @property
    def schema(self) -> Mapping[str, Any]:
        """The JSON Schema that the model is told."""

    def bind(self, values: Mapping[str, Any], context: Context[Any]) -> BoundArguments:
        """Give what to call the function with.

        Raises:
            ToolError: The values do not fit; the message names each one that does not.
        """


class TypedArguments:
    """Arguments as the function's annotations want them: a `date` where a date is annotated.

    The names live in a TypedDict and not in a model, so that a parameter may be called `json`, `self` or `_x`.

    Raises:
        ConfigError: The signature has no JSON Schema.
    """

    def __init__(self, function: Callable[..., Any], docs: Mapping[str, str]) -> None:
        self._parameters = read_parameters(function)
        if self._parameters.keywords is not None:
            raise ConfigError(
                f"tool {self._parameters.label} takes **{self._parameters.keywords}, which no schema can name; "
                "name its parameters, or describe them with parameters="
            )
        try:
            self._adapter = _adapter(self._parameters, docs)
            #: The JSON Schema that the model is told.
            self.schema: Mapping[str, Any] = _schema(self._adapter, self._parameters)
        except (PydanticUserError, PydanticUndefinedAnnotation, SchemaError, TypeError) as error:
            reason = str(error).split("\n", 1)[0]
            raise ConfigError(
                f"tool {self._parameters.label}: its parameters have no JSON Schema ({reason}); annotate them with "
                "JSON types or pydantic models, or describe them with parameters="
            ) from error

    def bind(self, values: Mapping[str, Any], context: Context[Any]) -> BoundArguments:
        """Give what to call the function with, converted to the annotated types.

        Raises:
            ToolError: The values do not fit; the message names each one that does not.
        """
        try:
            # The call is an event that others hold as well: the function gets values of its own.
            given = self._adapter.validate_python(copy.deepcopy(dict(values)))
        except ValidationError as error:
            raise ToolError(misfit(_problems(error))) from error
        given.update(dict.fromkeys(self._parameters.contexts, context))
        bound = BoundArguments(self._parameters.signature, given)
        bound.apply_defaults()
        return bound


def misfit(problems: list[str]) -> str:
    """Say to the model what is wrong with its arguments, one of them a line."""
    return "\n".join(["the arguments do not fit, so the tool was not run:", *problems])


def _problems(error: ValidationError) -> list[str]:
    # What the model wrote is not repeated: it knows, and it may be long.
    details = error.errors(include_url=False, include_context=False, include_input=False)
    return [f"{'.'.join(str(part) for part in one['loc']) or 'arguments'}: {one['msg']}" for one in details]


class _Schema(GenerateJsonSchema):
    """Leaves out the title of each field, which repeats its name and costs tokens."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def _adapter(parameters: Parameters, docs: Mapping[str, str]) -> TypeAdapter[dict[str, Any]]:
    fields = {parameter.name: _field(parameter, docs) for parameter in parameters.filled}
    arguments = _make_typed_dict("Arguments", fields)
    arguments.__pydantic_config__ = ConfigDict(extra="forbid")
    return TypeAdapter(arguments)


def _field(parameter: Parameter, docs: Mapping[str, str]) -> Any:
    hint, default = parameter.annotation, parameter.default
    optional = default is not Parameter.empty
    if isinstance(default, FieldInfo):
        hint, optional = Annotated[hint, default], not default.is_required()
    notes = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
    if parameter.name in docs and not any(isinstance(one, FieldInfo) and one.description for one in notes):
        hint = Annotated[hint, Field(description=docs[parameter.name])]
    return typing_extensions.NotRequired[hint] if optional else hint


def _schema(adapter: TypeAdapter[dict[str, Any]], parameters: Parameters) -> dict[str, Any]:
    schema = flatten(adapter.json_schema(schema_generator=_Schema))
    schema.pop("title", None)
    schema.setdefault("properties", {})
    for parameter in parameters.filled:
        default = parameter.default
        shown = schema["properties"].get(parameter.name)
        if shown is None or default is None or default is Parameter.empty or isinstance(default, FieldInfo):
            continue
        try:
            shown["default"] = to_jsonable_python(default)
        except PydanticSerializationError:
            # Some default is no JSON (a sentinel, a connection); that the parameter is optional is said anyway.
            continue
    return schema
