"""The pytest plugin: a sandbox for the jobs of a test. It is loaded by pytest itself wherever Aquila is installed.

It knows one fixture (`aquila_jobs`) and one marker of the same name; `docs/testing.md` tells them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from jobs.testing.marked import give_fixture

if TYPE_CHECKING:
    from jobs.testing.sandboxing import Sandbox

_MARKER = "aquila_jobs"


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line(
        "markers",
        f"{_MARKER}(mode='manual', *, database_url=None, middleware=()): what the sandbox of the fixture of the same name is "
        "to be like, which a test with this marker need not name",
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the sandbox to every test that has the marker."""
    give_fixture(items, _MARKER)


@pytest.fixture
def aquila_jobs(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """Let the jobs of the test live in a database of its own, with no Redis and no worker.

    Yields:
        The sandbox.
    """
    from jobs.testing.sandboxing import sandbox  # noqa: PLC0415 - only tests of jobs need it

    marker = request.node.get_closest_marker(_MARKER)
    options = {} if marker is None else _options(*marker.args, **marker.kwargs)
    with sandbox(**options) as used:
        yield used


def _options(mode: str = "manual", **others: Any) -> dict[str, Any]:
    return {"mode": mode, **others}
