"""The plugin, as a user's test run sees it: whole runs of pytest on small projects."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest

from aquila.cassette.file.disk import read as read_cassette
from aquila.cassette.run_report import RunReport, load
from aquila.pytest_plugin.names import cassette_name

CONFTEST = """
    import pytest
    import aquila
    from aquila.testing import Answer, ScriptedTransport

    @pytest.fixture
    def anyio_backend():
        return "asyncio"

    class Provider(ScriptedTransport):
        '''Answers with a number that rises, so that a recording tells when it was made.'''
        count = 0
        async def send(self, request):
            Provider.count += 1
            self._answers = (Answer.text("answer ", str(Provider.count)),)
            return await super().send(request)

    @pytest.fixture
    def client():
        return aquila.Client(transport=Provider(), base_url="https://api.example.test/v1", api_key="k", model="m", endpoint="chat")
"""


@dataclass(frozen=True)
class Outcome:
    code: int
    output: str

    def counts(self) -> dict[str, int]:
        last = self.output.strip().splitlines()[-1]
        return {
            word.rstrip("s"): int(number)
            for number, word in re.findall(r"(\d+) (passed|failed|errors?|skipped|xfailed)", last)
        }

    def line(self) -> str:
        return next(line for line in self.output.splitlines() if re.match(r"aquila: \d+ cassette", line))


class Project:
    """A user's project in a folder of its own."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self._pytester = pytester
        self.folder = folder = pytester.path
        (folder / "tests").mkdir()
        (folder / "pyproject.toml").write_text("[tool.pytest]\nanyio_mode = 'auto'\ntestpaths = ['tests']\n")
        (folder / "tests" / "conftest.py").write_text(dedent(CONFTEST))

    @property
    def cassettes(self) -> Path:
        return self.folder / "cassettes"

    def write(self, source: str, name: str = "test_a.py") -> None:
        (self.folder / "tests" / name).write_text("import pytest\nimport aquila\n" + dedent(source))

    def run(self, *arguments: str, **environment: str) -> Outcome:
        with pytest.MonkeyPatch.context() as patch:
            for name in os.environ:
                if name.startswith(("AQUILA_", "PYTEST_ADDOPTS", "CI")):
                    patch.delenv(name)
            for name, value in environment.items():
                patch.setenv(name, value)
            start = (
                self._pytester.runpytest_subprocess
                if "-n" in arguments
                else self._pytester.runpytest_inprocess
            )
            done = start("-p", "no:cacheprovider", "-p", "no:hypothesispytest", *arguments)
        return Outcome(int(done.ret), done.stdout.str() + done.stderr.str())


@pytest.fixture
def project(pytester: pytest.Pytester) -> Project:
    return Project(pytester)


BASIC = """
    @pytest.mark.aquila_cassette
    async def test_marked(client):
        assert (await client.ask("Hi")).text.startswith("answer")

    async def test_with_the_fixture(client, aquila_cassette):
        first = await client.ask("Hi")
        assert aquila_cassette.path.name == "test_with_the_fixture.yaml"
        assert aquila_cassette.unplayed() == ()

    @pytest.mark.aquila_cassette("shared/name")
    @pytest.mark.aquila_unplayed("ignore")
    @pytest.mark.parametrize("prompt", ["a::b/c", "ü"])
    async def test_named(client, prompt):
        await client.ask(prompt)

    @pytest.mark.aquila_cassette
    class TestGroup:
        async def test_one(self, client):
            await client.ask("one")

        @pytest.mark.parametrize("prompt", ["a::b/c", "x" * 300])
        async def test_two(self, client, prompt):
            await client.ask(prompt)

    def test_without(client):
        pass
"""


def test_tests_without_a_recording_fail_with_the_command_that_records_and_then_replay(
    project: Project,
) -> None:
    project.write(BASIC)

    missing = project.run("-q")

    assert missing.counts() == {"failed": 7, "passed": 1}
    assert "pytest tests/test_a.py::test_marked --aquila-record=once" in missing.output
    assert not project.cassettes.exists(), "nothing is recorded by accident"

    recorded = project.run("-q", "--aquila-record=once")
    assert recorded.counts() == {"passed": 8}, recorded.output
    assert re.search(r"aquila: 6 cassettes, 0 interactions played, 7 recorded", recorded.output)

    replayed = project.run("-q")
    assert replayed.counts() == {"passed": 8}, replayed.output
    assert replayed.line() == "aquila: 6 cassettes, 7 interactions played, oldest 0 d"

    names = sorted(str(path.relative_to(project.cassettes)) for path in project.cassettes.rglob("*.yaml"))
    assert names[:1] == ["shared/name.yaml"]
    assert "test_a/test_marked.yaml" in names
    assert "test_a/TestGroup/test_one.yaml" in names
    assert len(names) == 6


def test_it_works_under_xdist_with_one_closing_line(project: Project) -> None:
    project.write(BASIC)
    assert project.run("-q", "-n", "2", "--aquila-record=once").counts() == {"passed": 8}

    replayed = project.run("-q", "-n", "2")

    assert replayed.counts() == {"passed": 8}, replayed.output
    assert replayed.line() == "aquila: 6 cassettes, 7 interactions played, oldest 0 d"
    report = load(project.folder / ".aquila")
    assert report is not None
    assert report.complete
    assert len(report.used) == 6


def test_a_passing_test_fails_for_what_it_left_unplayed(project: Project) -> None:
    source = """
        @pytest.mark.aquila_cassette
        async def test_marker(client):
            for prompt in PROMPTS: await client.ask(prompt)

        async def test_block(client):
            with aquila.cassette.use("block"):
                for prompt in PROMPTS: await client.ask(prompt)

        async def test_calls(client):
            for prompt in PROMPTS: await client.ask(prompt, cassette="calls")

        @pytest.mark.aquila_cassette
        @pytest.mark.aquila_unplayed("ignore")
        async def test_allowed(client):
            for prompt in PROMPTS: await client.ask(prompt)

        @pytest.mark.aquila_cassette
        async def test_fails_anyway(client):
            for prompt in PROMPTS: await client.ask(prompt)
            assert len(PROMPTS) == 2, "of its own"

        @pytest.fixture(scope="module")
        def lasting():
            return aquila.Client(cassette="lasting", base_url="https://api.example.test/v1", api_key="k", model="m", endpoint="chat")

        async def test_a_client_that_outlives_the_test(client, lasting):
            await lasting.ask(PROMPTS[0], transport=client._defaults["transport"])

        async def test_it_goes_on(client, lasting):
            if len(PROMPTS) == 2: await lasting.ask(PROMPTS[1], transport=client._defaults["transport"])
    """
    project.write("PROMPTS = ['A', 'B']\n" + dedent(source))
    assert project.run("-q", "--aquila-record=once").counts() == {"passed": 7}
    project.write("PROMPTS = ['A']\n" + dedent(source))

    outcome = project.run("-q")

    assert outcome.counts() == {"failed": 4, "passed": 3}, outcome.output
    assert outcome.output.count("interaction 2 not played") == 3
    assert "pytest 'tests/test_a.py::test_marker' --aquila-record=rewrite" in outcome.output
    assert "of its own" in outcome.output

    warned = project.run("-q", "-W", "default", "-o", "aquila_unplayed=warn")
    assert warned.counts()["failed"] == 1
    assert warned.output.count("interaction 2 not played") == 3
    assert project.run("-q", "-o", "aquila_unplayed=ignore").counts()["failed"] == 1
    wrong = project.run("-q", "-o", "aquila_unplayed=maybe")
    assert wrong.code == 4
    assert "aquila_unplayed = 'maybe' is unknown; use one of fail, warn, ignore" in wrong.output


def test_a_failing_test_keeps_the_good_cassette(project: Project) -> None:
    project.write("""
        import os

        @pytest.mark.aquila_cassette
        async def test_it(client):
            await client.ask("A")
            assert "FAIL" not in os.environ

        @pytest.fixture
        def breaks():
            yield
            assert "FAIL" not in os.environ

        @pytest.mark.aquila_cassette
        async def test_tear_down(client, breaks):
            await client.ask("A")
    """)
    assert project.run("-q", "--aquila-record=rewrite").code == 0
    before = {path.name: path.read_bytes() for path in project.cassettes.rglob("*.yaml")}

    outcome = project.run("-q", "--aquila-record=rewrite", FAIL="1")

    assert outcome.counts() == {"passed": 1, "failed": 1, "error": 1}
    assert {path.name: path.read_bytes() for path in project.cassettes.rglob("*.yaml")} == before
    assert "test_it.yaml.partial; the cassette is as it was" in outcome.output
    assert outcome.line() == "aquila: 2 cassettes, 0 interactions played, 2 recorded and not kept"
    assert "aquila: not kept, because the test did not pass: " in outcome.output


def test_the_option_wins_over_the_marker_and_the_marker_over_the_environment(project: Project) -> None:
    project.write("""
        @pytest.mark.aquila_cassette(mode="none")
        async def test_it(client):
            await client.ask("A")

        async def test_an_explicit_mode_is_nobody_else_s_business(client):
            with pytest.raises(aquila.CassetteMissing), aquila.cassette.use("missing", mode="none"):
                await client.ask("A")
    """)

    assert project.run("-q", AQUILA_CASSETTES="once").counts() == {"failed": 1, "passed": 1}
    assert project.run("-q", "--aquila-record=once").counts() == {"passed": 2}
    assert project.run("-q", "--record-mode=none").counts() == {"passed": 2}, (
        "pytest-recording's option is read"
    )
    assert (
        project.run("-q", "--record-mode=rewrite").line()
        == "aquila: 2 cassettes, 0 interactions played, 1 recorded"
    )


def test_speed_replays_in_the_recorded_time(project: Project) -> None:
    project.write("""
        import time
        from aquila.testing import Answer, ScriptedTransport

        @pytest.mark.aquila_cassette
        async def test_it():
            answer = Answer.text("a")
            slow = ScriptedTransport(Answer(chunks=[0.5, *answer.chunks]))
            began = time.monotonic()
            await aquila.ask("A", transport=slow, api_key="k", endpoint="chat")
            print("took", time.monotonic() - began)
    """)
    assert project.run("-q", "--aquila-record=once").code == 0

    took = [
        float(re.search(r"took ([\d.e-]+)", project.run("-q", "-s", *args).output)[1])
        for args in ([], ["--aquila-speed=1"])
    ]  # type: ignore[index]

    assert took[0] < 0.5 <= took[1]
    assert "--aquila-speed=-1.0 is no speed" in project.run("-q", "--aquila-speed=-1").output


def test_threads_subprocesses_and_plain_functions_find_the_test_s_cassette(project: Project) -> None:
    project.write(
        """
        import asyncio, os, subprocess, sys, threading
        import aquila.sync

        def ask(client):
            return asyncio.run(client.ask("A"))

        @pytest.mark.aquila_cassette
        def test_thread(client):
            found = []
            thread = threading.Thread(target=lambda: found.append(ask(client)))
            thread.start(); thread.join()
            assert found[0].text.startswith("answer")

        @pytest.mark.aquila_cassette
        def test_sync(client):
            assert aquila.sync.ask("A", transport=client._defaults["transport"], api_key="k", endpoint="chat").text

        def test_mode_of_children():
            code = "import aquila.cassette, aquila.settings as s; print(aquila.cassette.resolve_mode(None, s.read_settings()))"
            assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == MODE
    """.replace("MODE", "os.environ.get('EXPECTED', 'none')")
    )

    assert project.run("-q", "--aquila-record=rewrite", EXPECTED="rewrite").counts() == {"passed": 3}
    assert project.run("-q").counts() == {"passed": 3}


def test_rules_and_faults_of_a_marker_hold(project: Project) -> None:
    project.write("""
        import os
        from aquila.cassette import Disconnect, Status

        @pytest.mark.aquila_cassette(ignore=["$.user"], redact=["patient"], secrets=["a-secret-value-0123"])
        async def test_ignores(client):
            await client.ask("A", extra_body={"user": os.environ["RUN"], "patient": "Ann " + os.environ["RUN"]})

        @pytest.mark.aquila_cassette(faults=[Status(code=503)])
        async def test_retried(client):
            assert (await client.ask("A")).text.startswith("answer")

        @pytest.mark.aquila_cassette(faults=[Disconnect(interaction=7)])
        async def test_a_fault_that_never_strikes(client):
            await client.ask("A")

        @pytest.mark.aquila_cassette(colour="blue")
        async def test_wrong(client):
            raise AssertionError("it must not run")

        @pytest.mark.aquila_cassette(mode="twice")
        async def test_wrong_mode(client):
            raise AssertionError("it must not run")
    """)
    recorded = project.run(
        "-q", "--aquila-record=once", "--deselect", "tests/test_a.py::test_wrong_mode", RUN="1"
    )
    assert recorded.counts() == {"passed": 3, "error": 1}
    assert "the test's markers: colour is unknown; use allow" in recorded.output
    assert "Ann" not in "".join(path.read_text() for path in project.cassettes.rglob("*.yaml"))

    outcome = project.run("-q", RUN="2")

    assert outcome.counts() == {"passed": 2, "failed": 1, "error": 2}, outcome.output
    assert "the fault Disconnect(interaction=7, times=1, after_chunks=0) has not struck" in outcome.output
    assert "cassette mode 'twice' is unknown" in outcome.output


def test_orphans_age_and_the_report_of_a_run(project: Project) -> None:
    project.write("""
        @pytest.mark.aquila_cassette
        async def test_one(client):
            await client.ask("A")

        @pytest.mark.aquila_cassette
        async def test_two(client):
            await client.ask("A")
    """)
    assert project.run("-q", "--aquila-record=once").code == 0
    one, two = sorted(project.cassettes.rglob("*.yaml"))
    orphan = project.cassettes / "orphan.yaml"
    orphan.write_bytes(one.read_bytes())
    two.write_text(re.sub(r"recorded_at: .*", "recorded_at: 2020-01-01T00:00:00+00:00", two.read_text()))

    assert project.run("-q").code == 0, "neither is looked at without being asked for"
    report = load(project.folder / ".aquila")
    assert report is not None
    assert report.complete
    assert [(used.interactions, used.played) for used in report.used] == [(1, (0,)), (1, (0,))]
    orphans = project.run("-q", "--aquila-orphans")
    assert orphans.code == 1
    assert f"used by no test: {orphan}" in orphans.output
    partly = project.run("-q", "--aquila-orphans", "-k", "one")
    assert partly.code == 0
    assert "--aquila-orphans says nothing: not every test was run and passed" in partly.output
    assert not (load(project.folder / ".aquila") or report).complete or pytest.fail("-k leaves tests out")

    warned = project.run("-q", "-o", "aquila_max_age=365")
    assert warned.code == 0
    assert re.search(r"recorded more than 365 days ago: .*test_two.yaml: \d{4} days", warned.output)
    assert re.search(r"oldest \d{4} d$", warned.line())
    assert project.run("-q", "-o", "aquila_max_age=365", "-o", "aquila_old=fail").code == 1
    assert "aquila_max_age = 'x' is no whole number" in project.run("-o", "aquila_max_age=x").output


def test_a_call_that_names_no_cassette_can_be_refused(project: Project) -> None:
    project.write("""
        async def test_it():
            await aquila.ask("A", api_key="k", base_url="http://127.0.0.1:9/v1", retry=0)
    """)

    assert "ConnectionFailed" in project.run("-q").output
    refused = project.run("-q", "-o", "aquila_require_cassette=true")
    assert "CassetteMissing: this test names no cassette" in refused.output


def test_recording_needs_the_network_that_another_plugin_blocks(project: Project) -> None:
    project.write("def test_it(): pass")

    refused = project.run("-q", "--block-network", "--aquila-record=once")

    assert refused.code == 4
    assert "--aquila-record=once needs the network that --block-network blocks" in refused.output
    assert project.run("-q", "--block-network").code == 0


def test_money_saved_is_summed(project: Project) -> None:
    project.write("""
        @pytest.mark.aquila_cassette
        async def test_it(client):
            await client.ask("A")
    """)
    assert project.run("-q", "--aquila-record=once").code == 0
    (path,) = project.cassettes.rglob("*.yaml")
    path.write_text(re.sub(r"(?m)^( +)key: ", r"\1cost_usd: 0.0421\n\1key: ", path.read_text()))
    assert (read_cassette(path) or ())[0].cost_usd is not None

    assert project.run("-q").line() == "aquila: 1 cassette, 1 interaction played, $0.042 saved, oldest 0 d"


def test_a_run_without_cassettes_says_nothing_and_leaves_nothing(project: Project) -> None:
    project.write("def test_it(): pass")

    outcome = project.run("-q")

    assert "aquila" not in outcome.output
    assert not (project.folder / ".aquila").exists()


def test_a_secret_fails_the_test_that_recorded_it(project: Project) -> None:
    project.write("""
        @pytest.mark.aquila_cassette
        async def test_it(client):
            await client.ask("my password is correct-horse-battery")
    """)

    outcome = project.run("-q", "--aquila-record=once", DB_PASSWORD="correct-horse-battery")  # noqa: S106

    assert outcome.counts()["failed"] == 1
    assert "the value of DB_PASSWORD is in the request body at $.messages[0].content" in outcome.output
    assert not list(project.cassettes.rglob("*.yaml"))


@pytest.mark.parametrize(
    ("nodeid", "name"),
    [
        ("tests/test_chat.py::test_b", "test_chat/test_b"),
        ("tests/unit/test_chat.py::TestA::test_b", "unit/test_chat/TestA/test_b"),
        ("test_chat.py::test_b[a-1]", "test_chat/test_b[a-1]"),
        ("docs/cassettes.md::line:16,column:1", "docs/cassettes/line-16-column-1-"),
        ("tests/test_a.py::test_b[../../etc]", "test_a/test_b[..-..-etc]-"),
    ],
)
def test_a_test_s_cassette_has_its_name(nodeid: str, name: str) -> None:
    found = cassette_name(nodeid)

    assert found == name or (name.endswith("-") and found.startswith(name))
    assert json.dumps(found).isascii()


def test_names_that_differ_in_what_no_file_name_may_hold_stay_different() -> None:
    names = {
        cassette_name(f"tests/test_a.py::test_b[{text}]")
        for text in ("a/b", "a:b", "a-b", "a b", "x" * 300, "x" * 301)
    }

    assert len(names) == 6
    assert all(len(part) < 200 for name in names for part in name.split("/"))


def test_an_expected_failure_is_recorded_and_does_not_hide_trouble_with_its_cassette(
    project: Project,
) -> None:
    project.write("""
        import os

        @pytest.mark.aquila_cassette
        @pytest.mark.xfail
        async def test_expected(client):
            await client.ask("A")
            raise RuntimeError("as expected")

        @pytest.mark.aquila_cassette
        @pytest.mark.xfail(strict=True)
        async def test_mended(client):
            await client.ask("A")
            if "MENDED" not in os.environ:
                await client.ask("B")
                raise RuntimeError("as expected")
    """)
    hidden = project.run("-q")
    assert hidden.counts() == {"failed": 2}
    assert "CassetteMissing" in hidden.output

    assert project.run("-q", "--aquila-record=once").counts() == {"xfailed": 2}
    assert project.run("-q").counts() == {"xfailed": 2}
    mended = project.run("-q", MENDED="1")
    assert mended.counts() == {"failed": 1, "xfailed": 1}
    assert "interaction 2 not played" in mended.output


def test_a_test_that_is_run_again_begins_again(project: Project) -> None:
    (project.folder / "conftest.py").write_text(
        dedent("""
            import pytest
            from _pytest.runner import runtestprotocol

            @pytest.hookimpl(tryfirst=True)
            def pytest_runtest_protocol(item, nextitem):
                for attempt in (1, 2):
                    reports = runtestprotocol(item, nextitem=nextitem, log=False)
                    if attempt == 2 or not any(report.failed for report in reports):
                        break
                for report in reports:
                    item.ihook.pytest_runtest_logreport(report=report)
                return True
        """)
    )
    project.write("""
        tries = []

        @pytest.mark.aquila_cassette
        async def test_flaky(client):
            tries.append(1)
            await client.ask("A")
            assert len(tries) % 2 == 0
    """)

    assert project.run("-q", "--aquila-record=once").counts() == {"passed": 1}
    assert len(read_cassette(project.cassettes / "test_a" / "test_flaky.yaml") or ()) == 1
    assert project.run("-q").counts() == {"passed": 1}


def test_a_cassette_that_several_markers_name_is_held_against_all_of_them_together(project: Project) -> None:
    source = """
        @pytest.mark.aquila_cassette("group")
        class TestGroup:
            async def test_one(self, client):
                await client.ask("one")

            async def test_two(self, client):
                if ASKS: await client.ask("two")
    """
    project.write("ASKS = True\n" + dedent(source))
    assert project.run("-q", "--aquila-record=rewrite").counts() == {"passed": 2}
    assert project.run("-q").code == 0
    project.write("ASKS = False\n" + dedent(source))

    outcome = project.run("-q")

    assert outcome.code == 1
    assert "interactions that no test played: " in outcome.output
    assert project.run("-q", "-k", "one").code == 0, "the others were not asked"


def test_a_test_that_asks_nothing_leaves_all_unplayed(project: Project) -> None:
    project.write("""
        import os

        @pytest.mark.aquila_cassette
        async def test_it(client):
            for prompt in os.environ["PROMPTS"].split(): await client.ask(prompt)
    """)
    assert project.run("-q", "--aquila-record=once", PROMPTS="A B").code == 0

    outcome = project.run("-q", PROMPTS=" ")

    assert outcome.counts() == {"failed": 1}
    assert "interactions 1, 2 not played" in outcome.output


def test_what_a_child_process_plays_counts(project: Project) -> None:
    (project.folder / "child.py").write_text(
        dedent("""
            import asyncio, aquila

            ask = aquila.ask(
                "child", base_url="https://api.example.test/v1", api_key="k", model="m", endpoint="chat", cassette="shared"
            )
            print(asyncio.run(ask).text)
        """)
    )
    project.write("""
        import subprocess, sys

        async def test_it(client, request):
            recording = request.config.getoption("--aquila-record")
            with aquila.cassette.use("shared"):
                await client.ask("parent")
                if recording:
                    await client.ask("child")
            if not recording:
                done = subprocess.run([sys.executable, "child.py"], capture_output=True, text=True)
                assert done.stdout.startswith("answer"), done.stderr
    """)
    assert project.run("-q", "--aquila-record=once").code == 0

    outcome = project.run("-q")

    assert outcome.counts() == {"passed": 1}, outcome.output
    assert outcome.line().startswith("aquila: 1 cassette, 2 interactions played")


def test_the_fixture_can_be_asked_for_in_the_middle(project: Project) -> None:
    project.write("""
        async def test_it(client, request):
            cassette = request.getfixturevalue("aquila_cassette")
            await client.ask("A")
            assert cassette.path.name == "test_it.yaml"
    """)

    assert project.run("-q", "--aquila-record=once").counts() == {"passed": 1}
    assert project.run("-q").counts() == {"passed": 1}


def test_two_tests_may_not_have_one_cassette_by_chance(project: Project) -> None:
    source = "@pytest.mark.aquila_cassette\nasync def test_it(client): await client.ask('A')\n"
    project.write(source)
    (project.folder / "test").mkdir()
    (project.folder / "test" / "conftest.py").write_text(dedent(CONFTEST))
    (project.folder / "test" / "test_a.py").write_text("import pytest\n" + source)

    outcome = project.run("-q", "--import-mode=importlib", "tests", "test")

    assert outcome.code == 4
    assert "would both have the cassette 'test_a/test_it'" in outcome.output


def test_a_test_that_changes_the_folder_does_not_change_where_cassettes_are(project: Project) -> None:
    project.write("""
        @pytest.mark.aquila_cassette
        async def test_it(client, monkeypatch, tmp_path):
            monkeypatch.chdir(tmp_path)
            await client.ask("A")
    """)

    assert project.run("-q", "--aquila-record=once", AQUILA_CASSETTE_DIR="recorded").code == 0

    assert (project.folder / "recorded" / "test_a" / "test_it.yaml").exists()


def test_a_run_of_a_part_of_the_tests_is_no_whole_run(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write("""
        @pytest.mark.aquila_cassette
        async def test_it(client):
            await client.ask("A")
    """)

    def last_run() -> RunReport:
        assert project.run("-q", "--aquila-record=all").code == 0
        report = load(project.folder / ".aquila")
        assert report is not None
        return report

    assert last_run().complete
    assert [used.recorded for used in last_run().used] == [True]
    monkeypatch.chdir(project.folder / "tests")
    assert not last_run().complete


def test_a_test_with_faults_is_recorded_and_skipped(project: Project) -> None:
    project.write("""
        from aquila.cassette import Disconnect

        @pytest.mark.aquila_cassette(faults=[Disconnect(after_chunks=2)])
        async def test_it(client):
            with pytest.raises(aquila.ConnectionFailed):
                await client.ask("A", retry=0)
    """)

    recorded = project.run("-q", "-rs", "--aquila-record=once")

    assert recorded.counts() == {"skipped": 1}
    assert "recorded; its faults strike when it is replayed" in recorded.output
    assert project.run("-q").counts() == {"passed": 1}


def test_a_fault_that_never_strikes_is_told_on_a_shared_cassette_too(project: Project) -> None:
    source = """
        from aquila.cassette import Disconnect

        @pytest.mark.aquila_cassette("shared")
        async def test_plain(client):
            await client.ask("A")

        @pytest.mark.aquila_cassette("shared", faults=FAULTS)
        async def test_spoiled(client):
            await client.ask("A")
    """
    project.write("FAULTS = []\n" + dedent(source))
    assert project.run("-q", "--aquila-record=once").counts() == {"passed": 2}
    project.write(dedent(source).replace("FAULTS", "[Disconnect(after_chunks=400)]"))

    outcome = project.run("-q")

    assert outcome.counts() == {"failed": 1, "passed": 1}
    assert "nothing was asked that it is for, or it would change nothing" in outcome.output


def test_one_of_the_tests_that_share_a_file_may_run_alone(project: Project) -> None:
    project.write("""
        @pytest.mark.parametrize("prompt", ["A", "B"])
        async def test_it(client, prompt):
            with aquila.cassette.use("shared"):
                await client.ask(prompt)
    """)
    assert project.run("-q", "--aquila-record=rewrite").counts() == {"passed": 2}

    assert project.run("-q", "tests/test_a.py::test_it[A]").counts() == {"passed": 1}
    assert project.run("-q").counts() == {"passed": 2}


def test_what_a_test_is_allowed_to_leave_is_allowed_to_the_run(project: Project) -> None:
    project.write("""
        import os

        @pytest.mark.aquila_unplayed("ignore")
        async def test_it(client):
            for prompt in os.environ["PROMPTS"].split(): await client.ask(prompt, cassette="a")
    """)
    assert project.run("-q", "--aquila-record=once", PROMPTS="A B").code == 0

    assert project.run("-q", PROMPTS="A").code == 0


def test_stale_interactions_of_a_shared_cassette_do_not_hide_behind_repeated_ones(project: Project) -> None:
    source = """
        @pytest.mark.parametrize("number", [0, 1, 2])
        @pytest.mark.aquila_cassette("shared")
        async def test_it(client, number):
            await client.ask(PROMPTS[number])
    """
    project.write("PROMPTS = 'ABC'\n" + dedent(source))
    assert project.run("-q", "--aquila-record=once").code == 0
    project.write("PROMPTS = 'AAA'\n" + dedent(source))

    outcome = project.run("-q")

    assert outcome.code == 1
    assert "interactions that no test played: " in outcome.output
    assert "shared.yaml: 2" in outcome.output


def test_a_plugin_that_leaves_tests_out_in_silence_makes_no_whole_run(project: Project) -> None:
    (project.folder / "conftest.py").write_text(
        "def pytest_collection_modifyitems(items):\n    items[:] = items[::2]\n"
    )
    project.write("""
        @pytest.mark.parametrize("prompt", ["A", "B"])
        @pytest.mark.aquila_cassette
        async def test_it(client, prompt):
            await client.ask(prompt)
    """)

    assert project.run("-q", "--aquila-record=once").counts() == {"passed": 1}

    report = load(project.folder / ".aquila")
    assert report is not None
    assert not report.complete


def test_a_mismatch_shows_the_call_in_the_test_and_not_aquila_s_frames(project: Project) -> None:
    project.write("""
        import os

        async def helper(client):
            return await client.ask("A" + os.environ.get("CHANGE", ""))

        @pytest.mark.aquila_cassette
        async def test_it(client):
            await helper(client)
    """)
    assert project.run("-q", "--aquila-record=once").code == 0

    outcome = project.run("-q", CHANGE="!")

    assert "CassetteMismatch" in outcome.output
    assert 'return await client.ask("A"' in outcome.output
    assert "aquila/round.py" not in outcome.output
    assert len(outcome.output.splitlines()) < 40
