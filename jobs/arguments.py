"""Arguments on their way through the row: JSON or pydantic models in, the same values out. Pure."""

from __future__ import annotations

import inspect
import math
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, SecretBytes, SecretStr, TypeAdapter, ValidationError

from aquila.errors import ConfigError

#: Parameters that name what a row must never hold; the worker's environment has them.
REFUSED_NAMES = frozenset({"api_key", "transport", "sink"})
#: What API keys look like: `sk-...` and the like.
KEY = re.compile(r"\b(?:sk|rk|sess)-[A-Za-z0-9_-]{20,}")


def pack(fn: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Turn a call's arguments into JSON values.

    Raises:
        ConfigError: An argument is neither JSON nor a pydantic model, or is a credential.
        TypeError: The arguments do not fit the function.
    """
    bound = inspect.signature(fn).bind(*args, **kwargs)
    for name, value in bound.arguments.items():
        if name in REFUSED_NAMES and value is not None:
            _refuse(fn, name, "belongs into the worker's environment, not into a row")
    names = [*bound.arguments][: len(bound.args)]
    positions = [names[min(i, len(names) - 1)] for i in range(len(bound.args))]
    return {
        "args": [_plain(fn, name, value) for name, value in zip(positions, bound.args, strict=True)],
        "kwargs": {name: _plain(fn, name, value) for name, value in bound.kwargs.items()},
    }


def unpack(fn: Callable[..., Any], packed: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Turn JSON values into the arguments of a call; annotated pydantic models are made again.

    Raises:
        ConfigError: They no longer fit the function.
    """
    signature = inspect.signature(fn)
    try:
        bound = signature.bind(*packed["args"], **packed["kwargs"])
    except TypeError as error:
        raise ConfigError(f"the stored arguments no longer fit {fn.__qualname__}(): {error}") from error
    hints = _hints(fn)
    for name, value in bound.arguments.items():
        if not _holds_model(hints.get(name)):
            continue
        try:
            adapter = TypeAdapter(_whole_hint(signature.parameters[name], hints[name]))
            bound.arguments[name] = adapter.validate_python(value)
        except ValidationError as error:
            raise ConfigError(
                f"the stored argument {name!r} no longer fits {fn.__qualname__}(): {error}"
            ) from error
    return list(bound.args), dict(bound.kwargs)


def plain_result(value: Any) -> Any:
    """Turn what an actor returned into JSON values.

    Raises:
        ConfigError: It is neither JSON nor a pydantic model.
    """
    return _plain(None, "the result", value)


def _plain(fn: Callable[..., Any] | None, name: str, value: Any) -> Any:  # noqa: PLR0911 - one line for each kind
    match value:
        case None | bool() | int():
            return value
        case str():
            if KEY.search(value) and fn is not None:
                _refuse(fn, name, "holds an API key, which belongs into the worker's environment")
            return str(value)
        case float():
            return (
                value if math.isfinite(value) else _refuse(fn, name, f"is {value}, which JSON does not know")
            )
        case BaseModel():
            _check_secrets(fn, name, value)
            return _plain(fn, name, value.model_dump(mode="json"))
        case list() | tuple():
            return [_plain(fn, name, item) for item in value]
        case dict():
            return {_key(fn, name, key): _plain(fn, name, item) for key, item in value.items()}
    return _refuse(fn, name, f"is a {type(value).__name__}; use JSON values or pydantic models")


def _key(fn: Callable[..., Any] | None, name: str, key: object) -> str:
    if not isinstance(key, str):
        _refuse(fn, name, f"has the key {key!r}; the keys of a JSON object are strings")
    if key in REFUSED_NAMES and fn is not None:
        _refuse(fn, name, f"holds {key!r}, which belongs into the worker's environment")
    return str(key)


def _check_secrets(fn: Callable[..., Any] | None, name: str, model: BaseModel) -> None:
    for field, value in model:
        if isinstance(value, SecretStr | SecretBytes):
            _refuse(fn, name, f"holds the secret {field!r}, which belongs into the worker's environment")
        if isinstance(value, BaseModel):
            _check_secrets(fn, name, value)


def _refuse(fn: Callable[..., Any] | None, name: str, why: str) -> typing.NoReturn:
    raise ConfigError(
        f"argument {name!r} of {fn.__qualname__}() {why}" if fn else f"{name} of the actor {why}"
    )


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
