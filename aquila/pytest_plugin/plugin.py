"""The pytest plugin: cassettes for tests. It is loaded by pytest itself wherever Aquila is installed.

It knows one marker (`aquila_cassette`), one fixture of the same name, four options and four settings; `pytest --help`
and `docs/testing.md` tell them.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from aquila.cassette.scope import Scope
    from aquila.pytest_plugin.one_test import CassetteTest
    from aquila.pytest_plugin.run import CassetteRun

_RECORDING = ("once", "new_episodes", "all", "rewrite")
_MODES = ("none", *_RECORDING)
_MARKER = "aquila_cassette"
#: The entry-point group of pytest plugins that other packages bring.
_OTHERS = "aquila.pytest"

_run: pytest.StashKey[CassetteRun] = pytest.StashKey()
_test: pytest.StashKey[CassetteTest] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options and settings."""
    group = parser.getgroup("aquila", "Aquila cassettes")
    group.addoption(
        "--aquila-record",
        metavar="MODE",
        choices=_MODES,
        help="record cassettes: none (replay only), once (what is missing), new_episodes, all, rewrite (anew)",
    )
    group.addoption(
        "--aquila-speed",
        metavar="N",
        type=float,
        help="replay at N times the recorded speed; 0, the default, does not wait",
    )
    group.addoption(
        "--aquila-orphans", action="store_true", help="fail when a cassette in the folder was used by no test"
    )
    parser.addini(
        "aquila_unplayed",
        "what a test that leaves interactions unplayed gets: fail (default), warn or ignore",
        default="fail",
    )
    parser.addini("aquila_max_age", "days after which a recording is old", default="")
    parser.addini("aquila_old", "what a run with old recordings gets: warn (default) or fail", default="warn")
    parser.addini(
        "aquila_require_cassette",
        "whether a call in a test that names no cassette is an error instead of going to the network",
        type="bool",
        default=False,
    )


def pytest_configure(config: pytest.Config) -> None:
    """Read the options."""
    from aquila.pytest_plugin.options import read_choices  # noqa: PLC0415 - only a run that goes on needs it
    from aquila.pytest_plugin.run import CassetteRun  # noqa: PLC0415 - see above

    config.addinivalue_line(
        "markers",
        f"{_MARKER}(name=None, *, mode=None, speed=None, faults=(), **rules): play and record all calls of the test with "
        "one cassette, that of its own name unless another is named",
    )
    config.addinivalue_line(
        "markers",
        "aquila_unplayed(verdict): what the test gets for interactions that it leaves unplayed: 'fail', 'warn' or 'ignore'",
    )
    config.stash[_run] = CassetteRun(config, read_choices(config, _RECORDING))
    _register_others(config)


def _register_others(config: pytest.Config) -> None:
    """Register the plugins of Aquila's other packages.

    They are no entry points of pytest's own, which would end every run of a project in which a package called `jobs` of the
    project's hides ours.
    """
    for entry in entry_points(group=_OTHERS):
        try:
            plugin = entry.load()
        except ImportError:
            continue
        if not config.pluginmanager.is_registered(plugin):
            config.pluginmanager.register(plugin, f"aquila-{entry.name}")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Take back what holds for the process."""
    if _run in config.stash:
        config.stash[_run].close()


@pytest.fixture
def aquila_cassette(request: pytest.FixtureRequest) -> Scope:
    """The test's cassette; a test that asks for it needs no marker."""
    test: CassetteTest = request.node.stash[_test]
    return test.cassette()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Look which cassettes several tests share, before some of them are left out."""
    config.stash[_run].collected(items)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Look which tests are left to run."""
    session.config.stash[_run].chosen(session.items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Leave nothing behind when a test is broken off."""
    try:
        return (yield)
    finally:
        _leave(item)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    """Watch what a test opens, and hold back what it records: anew when a flaky test is run again."""
    from aquila.pytest_plugin.one_test import CassetteTest  # noqa: PLC0415 - see pytest_configure

    _leave(item)
    item.stash[_test] = test = CassetteTest(item, item.config.stash[_run])
    test.begin()
    result = yield
    # Only now: other plugins count on having been set up when a test fails here.
    test.check_markers()
    return result


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any]) -> Generator[None, Any, Any]:
    """Take what is set up for several tests for none of them."""
    from aquila.cassette.watch import WATCHING  # noqa: PLC0415 - see pytest_configure

    if fixturedef.scope == "function":
        return (yield)
    watch, WATCHING.test = WATCHING.test, None
    try:
        return (yield)
    finally:
        WATCHING.test = watch


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Fail a test that passes without having played all of its cassettes."""
    result = yield
    item.stash[_test].check()
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """Keep what a passing test has recorded; put aside what a failing one has."""
    try:
        result = yield
        item.stash[_test].settle()
    finally:
        _leave(item)
    return result


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember how the test went."""
    from aquila.pytest_plugin.tracebacks import shorten  # noqa: PLC0415 - see pytest_configure

    if call.excinfo is not None:
        shorten(call.excinfo.value)
    report = yield
    if _test in item.stash:
        item.stash[_test].went(report, call)
    return report


def _leave(item: pytest.Item) -> None:
    if _test in item.stash:
        item.stash[_test].leave()


def pytest_deselected(items: Iterable[pytest.Item]) -> None:
    """Remember that the run is not whole."""
    for item in items:
        item.config.stash[_run].is_whole = False
        return


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tell the controlling process, or be it: save the report, look for orphans and old recordings."""
    session.config.stash[_run].finish(session)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Add what a process of pytest-xdist counted."""
    node.config.stash[_run].add(getattr(node, "workeroutput", {}).get("aquila"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say in a line what was played and recorded, and what is wrong with the cassettes as a whole."""
    for line in config.stash[_run].closing_lines():
        terminalreporter.write_line(line)
