"""Arguments on their way through the row: JSON or pydantic models in, the same values out. Pure."""

from __future__ import annotations

import inspect
import math
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, SecretBytes, SecretStr, TypeAdapter, ValidationError

from aquila.errors import ConfigError
from jobs.credentials import key_in

#: Parameters that name what a row must never hold; the worker's environment has them.
REFUSED_NAMES = frozenset({"api_key", "transport", "sink"})


def pack(fn: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Turn a call's arguments into JSON values.

    Raises:
        ConfigError: An argument is neither JSON nor a pydantic model, does not fit its model, or is a credential.
        TypeError: The arguments do not fit the function.
    """
    signature = inspect.signature(fn)
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        # Python's own words do not say whose arguments these are.
        raise TypeError(f"{fn.__qualname__}() takes {_parameters(signature)}: {error}") from None
    for name, value in bound.arguments.items():
        if name in REFUSED_NAMES and value is not None:
            _refuse(_argument(fn, name), "belongs into the worker's environment, not into a row")
    names = [*bound.arguments][: len(bound.args)]
    positions = [names[min(i, len(names) - 1)] for i in range(len(bound.args))]
    try:
        plain = [
            _plain(_argument(fn, name), value) for name, value in zip(positions, bound.args, strict=True)
        ]
        named = {name: _plain(_argument(fn, name), value) for name, value in bound.kwargs.items()}
    except RecursionError as error:
        raise ConfigError(
            f"an argument of {fn.__qualname__}() holds itself, or is nested too deeply"
        ) from error
    # Asked here, where the caller can mend it; the worker could only discard the job.
    _make_models(fn, signature.bind(*plain, **named), "does not fit")
    return {"args": plain, "kwargs": named}


def unpack(fn: Callable[..., Any], packed: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Turn JSON values into the arguments of a call; annotated pydantic models are made again.

    Raises:
        ConfigError: They no longer fit the function.
    """
    try:
        bound = inspect.signature(fn).bind(*packed["args"], **packed["kwargs"])
    except TypeError as error:
        raise ConfigError(f"the stored arguments no longer fit {fn.__qualname__}(): {error}") from error
    _make_models(fn, bound, "no longer fits")
    return list(bound.args), dict(bound.kwargs)


def plain_result(value: Any) -> Any:
    """Turn what an actor returned into JSON values.

    Raises:
        ConfigError: It is neither JSON nor a pydantic model.
    """
    return _plain("the result of the actor", value, guarded=False)


def plain_metadata(values: Mapping[str, Any]) -> dict[str, Any]:
    """Turn a job's metadata into JSON values.

    Raises:
        ConfigError: A value is neither JSON nor a pydantic model, or is a credential.
    """
    if not isinstance(values, Mapping):
        _refuse("metadata", f"is of type {type(values).__name__}; use a dict of JSON values")
    return {_key("metadata", key): _plain(f"metadata {key!r}", value) for key, value in values.items()}


def _make_models(fn: Callable[..., Any], bound: inspect.BoundArguments, misfit: str) -> None:
    hints, parameters = _hints(fn), bound.signature.parameters
    for name, value in bound.arguments.items():
        if not _holds_model(hints.get(name)):
            continue
        try:
            adapter = TypeAdapter(_whole_hint(parameters[name], hints[name]))
            bound.arguments[name] = adapter.validate_python(value)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            field = ".".join(str(part) for part in first["loc"])
            said = " ".join(f"{field}: {first['msg']}".split())
            raise ConfigError(f"{_argument(fn, name)} {misfit} its type: {said}") from error


def _parameters(signature: inspect.Signature) -> str:
    """Give the names alone: a default may be long, or nobody's business."""
    empty = inspect.Parameter.empty
    names = [
        one.replace(annotation=empty, default=empty if one.default is empty else ...)
        for one in signature.parameters.values()
    ]
    plain = signature.replace(parameters=names, return_annotation=inspect.Signature.empty)
    return str(plain).replace("=Ellipsis", "=...")


def _argument(fn: Callable[..., Any], name: str) -> str:
    return f"argument {name!r} of {fn.__qualname__}()"


def _plain(what: str, value: Any, *, guarded: bool = True) -> Any:  # noqa: PLR0911 - one line for each kind
    """Give `value` as JSON values; a guarded one must hold no credential."""
    match value:
        case None | bool() | int():
            return value
        case str():
            if guarded and (found := key_in(value)) is not None:
                _refuse(what, f"holds {found}, which belongs into the worker's environment")
            # The text itself: `str()` of a member of an enum is its name.
            return str.__str__(value)
        case float():
            return value if math.isfinite(value) else _refuse(what, f"is {value}, which JSON does not know")
        case BaseModel():
            _check_secrets(what, value)
            return _plain(what, value.model_dump(mode="json"), guarded=guarded)
        case list() | tuple():
            return [_plain(what, item, guarded=guarded) for item in value]
        case dict():
            return {
                _key(what, key, guarded=guarded): _plain(what, item, guarded=guarded)
                for key, item in value.items()
            }
    return _refuse(what, f"is of type {type(value).__name__}; use JSON values or pydantic models")


def _key(what: str, key: object, *, guarded: bool = True) -> str:
    if not isinstance(key, str):
        _refuse(what, f"has the key {key!r}; the keys of a JSON object are strings")
    if guarded and key in REFUSED_NAMES:
        _refuse(what, f"holds {key!r}, which belongs into the worker's environment")
    return str.__str__(key)


def _check_secrets(what: str, model: BaseModel) -> None:
    for field, value in model:
        _check_secret(what, field, value)


def _check_secret(what: str, field: str, value: object) -> None:
    match value:
        case SecretStr() | SecretBytes():
            _refuse(what, f"holds the secret {field!r}, which belongs into the worker's environment")
        case BaseModel():
            _check_secrets(what, value)
        case Mapping():
            for item in value.values():
                _check_secret(what, field, item)
        case list() | tuple() | set() | frozenset():
            for item in value:
                _check_secret(what, field, item)


def _refuse(what: str, why: str) -> typing.NoReturn:
    raise ConfigError(f"{what} {why}")


def _hints(fn: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(fn)
    except (NameError, TypeError):
        # An annotation that exists for type checkers only: its argument stays JSON.
        return {name: hint for name, hint in fn.__annotations__.items() if not isinstance(hint, str)}


def _whole_hint(parameter: inspect.Parameter, hint: Any) -> Any:
    # The annotation of *args and **kwargs is that of one of them.
    if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
        return tuple[hint, ...]
    if parameter.kind is inspect.Parameter.VAR_KEYWORD:
        return dict[str, hint]
    return hint


def _holds_model(annotation: Any) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return True
    return any(_holds_model(part) for part in typing.get_args(annotation))
