"""Resolves the annotations of a tool's parameters, text ones included."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from types import SimpleNamespace, UnionType
from typing import Any

from aquila.tools.context import Context


def read_hints(function: Callable[..., Any]) -> dict[str, Any]:
    """Give the types of a function's parameters.

    One by one, and without the return type: what only a type checker can resolve is in nobody's way there.

    Raises:
        NameError: An annotation names something that cannot be found.
    """
    plain = inspect.unwrap(function)
    global_names: dict[str, Any] = getattr(plain, "__globals__", {})
    local_names = _names_around(plain)
    annotations: Mapping[str, Any] = getattr(plain, "__annotations__", None) or {}
    return {
        name: _resolve(annotation, global_names, local_names)
        for name, annotation in annotations.items()
        if name != "return"
    }


def is_context(hint: Any) -> bool:
    """Say whether a parameter of that type gets the run's Context."""
    origin = typing.get_origin(hint)
    if origin in {typing.Annotated, typing.Union, UnionType}:
        return any(is_context(part) for part in typing.get_args(hint))
    return hint is Context or origin is Context


def _resolve(annotation: Any, global_names: dict[str, Any], local_names: Mapping[str, Any]) -> Any:
    holder = SimpleNamespace(__annotations__={"hint": annotation})
    try:
        return typing.get_type_hints(holder, global_names, dict(local_names), include_extras=True)["hint"]
    except NameError:
        # What a Context holds matters to nobody here, so `Context[Deps]` may name what only a type checker sees.
        head, bracket, _ = annotation.partition("[") if isinstance(annotation, str) else ("", "", "")
        if bracket and is_context(_resolve(head, global_names, local_names)):
            return Context
        raise


def _names_around(function: Callable[..., Any]) -> Mapping[str, Any]:
    """Give the local names where a function inside a function was defined, if that place is still running."""
    code = getattr(function, "__code__", None)
    frame = inspect.currentframe()
    while code is not None and frame is not None:
        if code in frame.f_code.co_consts:
            return frame.f_locals
        frame = frame.f_back
    return {}
