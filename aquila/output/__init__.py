"""Structured output: a type in, its schema on the wire, objects out. pydantic is imported with `Shape`, not before."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from aquila.output.partial_json import PartialJSON
from aquila.output.strict import strictify

if TYPE_CHECKING:
    from aquila.output.growth import Growing
    from aquila.output.shape import Shape

__all__ = ["Growing", "PartialJSON", "Shape", "strictify"]


def __getattr__(name: str) -> Any:
    homes = {"Growing": "growth", "Shape": "shape"}
    if name not in homes:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"aquila.output.{homes[name]}"), name)


def __dir__() -> list[str]:
    return __all__
