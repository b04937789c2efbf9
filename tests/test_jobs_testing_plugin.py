"""The fixture and the marker, as a user's tests have them."""

from __future__ import annotations

from pathlib import Path

import pytest

CONFTEST = """
import jobs.testing.plugin as plugin
import pytest

def pytest_configure(config):
    if not config.pluginmanager.is_registered(plugin):
        config.pluginmanager.register(plugin)

@pytest.fixture
def anyio_backend():
    return "asyncio"
"""

TESTS = """
import jobs
import pytest
from jobs.testing import aassert_enqueued, adrain_queue, all_enqueued, assert_enqueued, drain_queue

@jobs.actor
async def add(a: int, b: int) -> int:
    return a + b

def test_plain(aquila_jobs):
    add.send(1, 2)
    assert aquila_jobs.mode == "manual"
    assert drain_queue().completed == 1

def test_each_test_has_its_own(aquila_jobs):
    assert all_enqueued() == []

@pytest.mark.aquila_jobs("inline")
def test_marked():
    assert add.send(1, 2).result() == 3

@pytest.mark.aquila_jobs(mode="inline")
class TestMarked:
    def test_by_its_class(self):
        assert add.send(1, 2).result() == 3

    def test_named_as_well(self, aquila_jobs):
        assert aquila_jobs.mode == "inline"

@pytest.mark.anyio
async def test_async(aquila_jobs):
    handle = await add.asend(1, 2)
    await aassert_enqueued(add, args=(1, 2))
    await adrain_queue()
    assert await handle.aresult() == 3

@pytest.mark.aquila_jobs(mode="eager")
def test_wrong():
    pass

def test_failing(aquila_jobs):
    assert_enqueued(add, args=(1, 2))
"""

CASSETTES = """
import aquila
import jobs
import pytest
from aquila.cassette import Disconnect
from aquila.testing import Answer, ScriptedTransport
from jobs.testing import drain_queue

provider = ScriptedTransport(Answer.text("Hello"))

@jobs.actor(backoff=0.0)
async def greet() -> str:
    answer = await aquila.ask("Hi", model="m", transport=provider, api_key="k", endpoint="chat", retry=0)
    return answer.text

@pytest.mark.aquila_jobs
@pytest.mark.aquila_cassette("greeting")
def test_drained(recording):
    handle = greet.send()
    drain_queue(raising=True)
    assert handle.result() == "Hello"
    assert len(provider.requests) == recording

@pytest.mark.aquila_jobs
@pytest.mark.aquila_cassette("greeting", faults=[Disconnect(after_chunks=0)])
def test_a_fault(recording):
    if recording:
        pytest.skip("nothing to strike")
    handle = greet.send()
    drain_queue(with_scheduled=True)
    assert handle.job().attempt == 2
    assert handle.result() == "Hello"

@pytest.fixture
def recording(request):
    return 1 if request.config.getoption("--aquila-record") else 0
"""


def test_a_user_s_tests(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AQUILA_STATE_DIR", str(tmp_path / "nothing"))
    monkeypatch.setenv("AQUILA_CASSETTE_DIR", str(pytester.path / "cassettes"))
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(test_fixture=TESTS, test_cassettes=CASSETTES)
    options = ("--strict-markers", "-W", "error", "-p", "no:cacheprovider")

    recorded = pytester.runpytest_subprocess("--aquila-record=once", *options)

    recorded.assert_outcomes(passed=7, failed=1, errors=1, skipped=1)
    recorded.stdout.fnmatch_lines(["*mode='eager' of a sandbox is 'manual' or 'inline'"])
    recorded.stdout.fnmatch_lines(["*no job is enqueued at all"])
    # A failed expectation is shown where the test states it.
    recorded.stdout.no_fnmatch_line("*jobs/testing/enqueued.py*")
    assert not (tmp_path / "nothing" / "aquila.db").exists()
    assert not (tmp_path / "nothing" / "valkey").exists()
    assert (pytester.path / "cassettes" / "greeting.yaml").exists()

    pytester.runpytest_subprocess("test_cassettes.py", *options).assert_outcomes(passed=2)


def test_the_plugin_imports_next_to_nothing(pytester: pytest.Pytester) -> None:
    code = "import sys, jobs.testing.plugin; print([m for m in ('sqlalchemy', 'dramatiq', 'redis') if m in sys.modules])"
    script = pytester.makepyfile(code)

    assert pytester.runpython(script).outlines == ["[]"]
