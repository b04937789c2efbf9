"""Fixtures that a marker of the same name gives to a test."""

from __future__ import annotations

from collections.abc import Iterable

import pytest


def give_fixture(items: Iterable[pytest.Item], name: str) -> None:
    """Give a fixture to every test that has the marker of its name."""
    for item in items:
        if isinstance(item, pytest.Function) and item.get_closest_marker(name) is not None:
            names = item.fixturenames
            if name not in names:
                names.insert(0, name)
