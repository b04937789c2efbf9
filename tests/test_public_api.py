from __future__ import annotations

import importlib
import inspect

import pytest

PACKAGES = ["aquila", "aquila.cassette", "aquila.endpoint", "aquila.sink", "aquila.transport", "jobs"]


@pytest.mark.parametrize("name", PACKAGES)
def test_all_is_sorted_complete_and_documented(name: str) -> None:
    package = importlib.import_module(name)

    assert package.__doc__
    assert package.__all__ == sorted(package.__all__)
    for export in package.__all__:
        value = getattr(package, export)
        assert not inspect.isroutine(value) or value.__doc__, export
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = package.no_such_name


def test_names_stay_what_they_are_after_everything_is_imported() -> None:
    aquila = importlib.import_module("aquila")
    importlib.import_module("aquila.client")

    assert inspect.isfunction(aquila.stream)
    assert inspect.isfunction(aquila.fold)
    assert inspect.iscoroutinefunction(aquila.ask)
