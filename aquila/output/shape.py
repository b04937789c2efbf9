"""The shape of an answer: a Python type, its schema on the wire, and the way back."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated, Any, Generic, TypeVar, cast, get_args, get_origin, overload

from pydantic import TypeAdapter, ValidationError, create_model
from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError
from pydantic_core import SchemaError

from aquila.call import OutputSchema
from aquila.errors import ConfigError, OutputInvalid
from aquila.output.problems import list_problems
from aquila.output.strict import open_root, strictify

T = TypeVar("T")
S = TypeVar("S")

#: The wire takes objects only; any other type travels as this one field of an object.
RESULT = "result"
_FENCE = "```"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape(Generic[T]):
    """What an answer must look like, made by `Shape.of`."""

    #: What the provider is told; `strict` there says whether the type has a strict schema.
    schema: OutputSchema
    #: What no strict schema can say, one `path: reason` each; empty when the schema is strict.
    obstacles: tuple[str, ...] = ()
    #: True when the type is no object and travels as `{"result": ...}`.
    wrapped: bool = False
    _adapter: TypeAdapter[Any] = field(repr=False)
    #: Reads the type itself, where it travels wrapped.
    _bare: TypeAdapter[Any] | None = field(default=None, repr=False)

    @overload
    @classmethod
    def of(cls, output_type: type[S]) -> Shape[S]: ...

    @overload
    @classmethod
    def of(cls, output_type: Any) -> Shape[Any]: ...

    @classmethod
    def of(cls, output_type: Any) -> Shape[Any]:
        """Make the shape of a type.

        Args:
            output_type: A pydantic model, dataclass, TypedDict, `list[Model]`, union, Literal, Enum, `int`, `str`:
                anything pydantic has a schema for.

        Raises:
            ConfigError: It is no type, or pydantic can make no JSON schema of it.
        """
        _check_type(output_type)
        # Equal types may be written differently (`A | B`, `B | A`), and what is sent follows the writing.
        arguments: Any = (output_type, str(output_type))
        make = _make if _is_hashable(output_type) else _make.__wrapped__
        try:
            return make(*arguments)
        except (PydanticUserError, PydanticUndefinedAnnotation, SchemaError, TypeError) as error:
            reason = str(error).partition("\n")[0]
            raise ConfigError(
                f"output: no JSON schema can be made of {_name(output_type)}: {reason}; "
                "use a pydantic model, a dataclass or built-in types"
            ) from error

    def validate(self, text: str) -> T:
        """Read an answer.

        White space and one code fence around the JSON are allowed.

        Raises:
            OutputInvalid: The text is no JSON, or does not fit the type.
        """
        bare = _unfenced(text)
        try:
            value = self._adapter.validate_json(bare)
        except ValidationError as error:
            if self._bare is not None:
                # A model that was not held to the schema answers with the value itself, which is what was asked for.
                with suppress(ValidationError):
                    return cast("T", self._bare.validate_json(bare))
            raise self._invalid(list_problems(error, bare)) from None
        except Exception as error:
            # A validator of the user's own; what the model said must not be lost over it.
            raise self._invalid((f"(root): {type(error).__name__}: {error}",)) from error
        return cast("T", getattr(value, RESULT) if self.wrapped else value)

    def _invalid(self, problems: tuple[str, ...]) -> OutputInvalid:
        more = f" ({len(problems) - 1} more in .problems)" if len(problems) > 1 else ""
        return OutputInvalid(
            f"the answer does not fit {self.schema.name}: {problems[0]}{more}; "
            "ask a more capable model, or for a simpler type",
            problems=problems,
        )

    def repair_prompt(self, error: OutputInvalid) -> str:
        """Write the message that asks the model to mend an answer which `validate` refused."""
        problems = "\n".join(f"- {problem}" for problem in error.problems)
        return (
            f"That answer does not fit the JSON schema:\n{problems}\n\n"
            "Answer again: the complete JSON, corrected, and nothing else."
        )


@lru_cache(maxsize=128)
def _make(output_type: Any, _written: str) -> Shape[Any]:
    name = _name(output_type)
    adapter: TypeAdapter[Any] = TypeAdapter(output_type)
    loose = open_root(adapter.json_schema())
    wrapped = loose.get("type") != "object" or "anyOf" in loose
    itself = adapter if wrapped else None
    if wrapped:
        fields: dict[str, Any] = {RESULT: (output_type, ...)}
        adapter = TypeAdapter(create_model(name, **fields))
        loose = adapter.json_schema()
    strict, obstacles = strictify(loose)
    schema = OutputSchema(
        name=name, schema=loose if obstacles else strict, loose_schema=loose, strict=not obstacles
    )
    return Shape(schema=schema, obstacles=obstacles, wrapped=wrapped, _adapter=adapter, _bare=itself)


def _is_hashable(output_type: Any) -> bool:
    # The metadata of Annotated may be anything.
    try:
        hash(output_type)
    except TypeError:
        return False
    return True


def _check_type(value: Any) -> None:
    made_from = type(value).__name__
    # Classes, `list[int]`, `A | B`, `Literal[...]`; the last two have no class to ask for in every Python.
    if isinstance(value, type) or get_origin(value) is not None or made_from in {"NewType", "TypeAliasType"}:
        return
    known = hasattr(value, "__pydantic_core_schema__") or hasattr(value, "__dataclass_fields__")
    remedy = (
        f"give the class {made_from} itself" if known else "give a pydantic model, list[str] or their like"
    )
    raise ConfigError(f"output: a value ({made_from}) is no type; {remedy}")


def _name(output_type: Any) -> str:
    """Make a type's name one that a provider takes: `list[shop.Invoice]` is `list_Invoice`."""
    if get_origin(output_type) is Annotated:
        output_type = get_args(output_type)[0]
    written = output_type.__name__ if isinstance(output_type, type) else str(output_type)
    # Modules, and the functions that classes are defined in, say nothing to a model.
    local = re.sub(r"[\w.<>]+\.(?=\w)", "", written)
    return re.sub(r"[^a-zA-Z0-9_-]+", "_", local).strip("_")[:64] or "answer"


def _unfenced(text: str) -> str:
    bare = text.strip()
    if len(bare) < 2 * len(_FENCE) or not (bare.startswith(_FENCE) and bare.endswith(_FENCE)):
        return bare
    inside = bare[len(_FENCE) : -len(_FENCE)]
    return (inside[4:] if inside[:4].lower() == "json" else inside).strip()
