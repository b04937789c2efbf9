"""Tests of code that notifies: an adapter that keeps what it is handed, and what every adapter keeps to."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chimeway.testing.adapter_contract import AdapterContract
    from chimeway.testing.fake_adapter import TestAdapter

__all__ = ["AdapterContract", "TestAdapter"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    homes = {"AdapterContract": "adapter_contract", "TestAdapter": "fake_adapter"}
    return getattr(import_module(f"chimeway.testing.{homes[name]}"), name)


def __dir__() -> list[str]:
    return __all__
