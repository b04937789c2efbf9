"""Reads a function's signature for a tool: which parameters the model fills, and which the run does."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aquila.errors import ConfigError
from aquila.tools.hints import is_context, read_hints


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """A function's parameters, sorted."""

    #: How an error names the function.
    label: str
    signature: inspect.Signature
    #: Those that the model fills, with their types resolved.
    filled: tuple[inspect.Parameter, ...]
    #: Names of those that get the Context.
    contexts: tuple[str, ...]
    #: Names that the model may not fill: those of the Context, and what a `functools.partial` has bound.
    hidden: frozenset[str]
    #: The function takes `**name`; None: it does not.
    keywords: str | None


def plain_function(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give what has the name, docstring and annotations: the function below a partial, or a `__call__`."""
    while isinstance(function, functools.partial):
        function = function.func
    if inspect.isroutine(function):
        return function
    method: Callable[..., Any] = type(function).__call__
    return method


def label(function: Callable[..., Any]) -> str:
    """Give the name that an error calls a function by."""
    plain = plain_function(function)
    return f"{getattr(plain, '__qualname__', None) or type(function).__qualname__}()"


def read_parameters(function: Callable[..., Any]) -> Parameters:
    """Sort a function's parameters.

    A parameter that a `functools.partial` has bound is the caller's own business, and hidden from the model.

    Raises:
        ConfigError: The signature cannot be read, or holds what a model cannot fill by name.
    """
    name = label(function)
    _check_kind(function, name)
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"tool {name}: its signature cannot be read ({error}); wrap it in a function"
        ) from error
    try:
        hints = read_hints(plain_function(function))
    except (NameError, TypeError, SyntaxError, AttributeError) as error:
        raise ConfigError(
            f"tool {name}: an annotation cannot be resolved ({error}); define or import it at the top of the module, "
            "outside `if TYPE_CHECKING`"
        ) from error
    parameters = [
        parameter.replace(annotation=hints.get(parameter.name, Any))
        for parameter in signature.parameters.values()
    ]
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        raise ConfigError(f"tool {name} takes *args, which a model cannot fill; name its parameters")
    contexts = tuple(parameter.name for parameter in parameters if is_context(parameter.annotation))
    hidden = frozenset((*contexts, *_bound_names(function)))
    return Parameters(
        label=name,
        signature=signature,
        filled=tuple(
            parameter
            for parameter in parameters
            if parameter.name not in hidden and parameter.kind is not parameter.VAR_KEYWORD
        ),
        contexts=contexts,
        hidden=hidden,
        keywords=next((one.name for one in parameters if one.kind is one.VAR_KEYWORD), None),
    )


def _check_kind(function: Callable[..., Any], name: str) -> None:
    if not callable(function):
        raise ConfigError(f"tool {function!r} is no function; give a function, a method or a callable object")
    if inspect.isclass(function):
        raise ConfigError(f"tool {function.__qualname__} is a class; give a function that makes one")
    plain = plain_function(function)
    if inspect.isgeneratorfunction(plain) or inspect.isasyncgenfunction(plain):
        raise ConfigError(f"tool {name} yields, but the model is told one result; return a list instead")


def _bound_names(function: Callable[..., Any]) -> set[str]:
    return set(function.keywords) if isinstance(function, functools.partial) else set()
