"""The pytest plugin: a sandbox for tests of notifications. It is loaded by pytest itself wherever Aquila is installed.

It knows one fixture (`chimeway_sandbox`) and one marker of the same name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from jobs.testing.marked import give_fixture

if TYPE_CHECKING:
    from chimeway.testing.capturing import Captured

_MARKER = "chimeway_sandbox"


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line(
        "markers",
        f"{_MARKER}(*channels, now=None, dispatcher='sync', database_url=None): what the fixture of the same name is to be "
        "like, which a test with this marker need not name",
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the sandbox to every test that has the marker."""
    give_fixture(items, _MARKER)


@pytest.fixture
def chimeway_sandbox(request: pytest.FixtureRequest) -> Iterator[Captured]:
    """Keep in the test what would be sent, in a database of its own, with no Redis and no worker.

    Yields:
        What is sent, and the clock.
    """
    # Only tests of notifications need them.
    from chimeway.testing.capturing import capture  # noqa: PLC0415 - see above
    from jobs.testing.sandboxing import sandbox  # noqa: PLC0415 - see above

    marker = request.node.get_closest_marker(_MARKER)
    channels, options = ((), {}) if marker is None else (marker.args, dict(marker.kwargs))
    place: dict[str, Any] = {"database_url": options.pop("database_url", None)}
    with sandbox(**place), capture(*channels, **options) as captured:
        yield captured
