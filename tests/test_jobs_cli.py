from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import anyio
import pytest
from job_actors import add, hold, refuse
from job_workers import COMMAND, WorkerProcess, aquila, one_line, until_state, working

import jobs
from jobs.broker import runtime
from jobs.checks import checks
from jobs.handle import JobHandle
from jobs.shadow import foreign_package, our_package

pytest_plugins = ["job_fixtures"]
pytestmark = pytest.mark.usefixtures("place")


async def test_jobs_are_listed_and_shown() -> None:
    good, bad, waiting = add.send(1, 2), refuse.send(), add.options(delay=60).send(3, 4)
    async with working():
        await good.aresult(timeout=10)
        await until_state(bad, "discarded")

    _, *listed = aquila("jobs", "ls").stdout.splitlines()
    assert [line.split()[1] for line in listed] == ["scheduled", "discarded", "completed"]
    assert waiting.job_id[:8] in aquila("jobs", "ls", "--state", "scheduled").stdout
    assert aquila("jobs", "ls", "--limit", "1").stdout.count("\n") == 2

    shown = aquila("jobs", "show", bad.job_id[:10]).stdout
    assert "discarded" in shown
    assert "BadRequestError: the prompt is wrong" in shown
    assert json.loads(aquila("jobs", "show", good.job_id, "--json").stdout)["result"] == 3


@pytest.mark.parametrize("arguments", [["ls"], ["show"], ["follow", "--json"]], ids=" ".join)
def test_a_reader_that_goes_early_ends_a_command_quietly(arguments: list[str]) -> None:
    handle = add.send(1, 2)
    handle.cancel()
    named = [] if arguments == ["ls"] else [handle.job_id]
    with subprocess.Popen(
        [*COMMAND, "jobs", *arguments, *named], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as command:
        assert command.stdout is not None
        assert command.stderr is not None
        command.stdout.close()
        said = command.stderr.read()

    assert (command.returncode, said) == (1, "")


async def test_following_a_failed_job_ends_with_its_error() -> None:
    handle = refuse.send()
    async with working():
        await until_state(handle, "discarded")

    assert "BadRequestError: the prompt is wrong" in one_line(aquila("jobs", "follow", handle.job_id))


def test_following_a_job_that_nobody_runs_says_so() -> None:
    handle = add.send(1, 2)
    with subprocess.Popen(
        [*COMMAND, "jobs", "follow", handle.job_id], stderr=subprocess.PIPE, text=True
    ) as reader:
        assert reader.stderr is not None
        said = reader.stderr.readline()
        handle.cancel()
        assert reader.wait(timeout=10) == 1

    assert said == "note: no worker serves this database; start one with `aquila worker MODULE`\n"


async def test_what_was_returned_and_not_streamed_is_printed_at_the_end(tmp_path: Path) -> None:
    handle = hold.send(str(tmp_path / "nothing"))
    async with working():
        await handle.aresult(timeout=10)

    assert aquila("jobs", "follow", handle.job_id).stdout == "attempt 1\n"
    events = aquila("jobs", "follow", handle.job_id, "--json").stdout.splitlines()
    assert [json.loads(event)["type"] for event in events] == ["attempt", "status", "done"]


def test_a_job_is_cancelled_and_run_again() -> None:
    handle = add.send(1, 2)

    assert aquila("jobs", "cancel", handle.job_id[:8]).returncode == 0
    assert handle.status() == "cancelled"
    assert "has ended already" in one_line(aquila("jobs", "cancel", handle.job_id))
    assert aquila("jobs", "retry", handle.job_id).returncode == 0
    assert handle.status() == "available"
    assert "without being asked" in one_line(aquila("jobs", "retry", handle.job_id))


def test_a_list_of_waiting_jobs_says_that_no_worker_is_there() -> None:
    add.send(1, 2)

    assert "no worker serves this database" in aquila("jobs", "ls").stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["jobs", "show", "nobody"], "no job begins with 'nobody'"),
        (["jobs", "ls", "--state", "tired"], "no state 'tired'"),
        (["worker", "no.such.module"], "no module 'no.such.module'"),
        (["worker", "--queues", "llm=many"], "'llm=many' is no queue"),
        (["worker", "--lease", "-1"], "lease"),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], said: str) -> None:
    assert said in one_line(aquila(*arguments))


def test_a_redis_that_is_away_is_one_line_at_the_start_of_a_worker() -> None:
    done = aquila("worker", AQUILA_REDIS_URL="redis://anna:secret@127.0.0.1:9/0")

    assert "Redis at redis://127.0.0.1:9/0 does not answer" in one_line(done)


def test_another_database_is_migrated_by_the_command_only(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'theirs.db'}"

    assert "run `aquila db upgrade`" in one_line(aquila("jobs", "ls", AQUILA_DATABASE_URL=url))
    assert "at this version now" in aquila("db", "upgrade", AQUILA_DATABASE_URL=url).stdout
    assert "nothing to do" in aquila("db", "upgrade", AQUILA_DATABASE_URL=url).stdout
    assert aquila("jobs", "ls", AQUILA_DATABASE_URL=url).stdout == "no jobs\n"


async def test_a_worker_finds_the_actors_of_the_current_folder(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "shop_jobs.py").write_text(
        "import jobs\n\n@jobs.actor(queue_name='orders')\ndef order(what: str) -> str:\n    return what + '!'\n"
    )
    script = "import shop_jobs; print(shop_jobs.order.send('tea').job_id)"
    sent = await anyio.run_process([sys.executable, "-c", script], cwd=folder)
    with WorkerProcess(folder, "shop_jobs", "--queues", "orders=2") as worker:
        await worker.ready()
        assert "orders=2;" in worker.said
        assert await JobHandle(sent.stdout.decode().strip()).aresult(timeout=10) == "tea!"


async def test_a_package_of_the_host_with_our_name_is_noticed(tmp_path: Path) -> None:
    package = tmp_path / "jobs"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "mine.py").touch()

    assert foreign_package(tmp_path) == package
    assert foreign_package(our_package().parent) is None
    said = one_line(aquila("worker", "jobs.mine", cwd=tmp_path))
    assert str(package) in said
    assert str(our_package()) in said


async def test_the_doctor_sees_database_redis_and_workers() -> None:
    # As before the first use.
    (runtime().settings.state_dir / "aquila.db").unlink()
    assert [(check.name, check.state) for check in checks()] == [
        ("jobs: database", "off"),
        ("jobs: Redis", "ok"),
    ]
    async with working():
        found = {check.name: check for check in checks()}

    assert [check.state for check in found.values()] == ["ok", "ok", "ok"]
    assert "default" in found["jobs: workers"].detail
    assert {check.name: check.state for check in checks()}["jobs: workers"] == "off"


def test_the_doctor_names_what_is_wrong(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AQUILA_DATABASE_URL", f"sqlite:///{tmp_path / 'theirs.db'}")
    monkeypatch.setenv("AQUILA_REDIS_URL", "redis://127.0.0.1:9/0")

    database, wire = checks()

    assert (database.state, database.remedy) == ("problem", "run `aquila db upgrade`")
    assert wire.state == "problem"
    assert "127.0.0.1:9" in wire.detail


def test_looking_makes_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AQUILA_STATE_DIR", str(tmp_path / "none"))
    monkeypatch.delenv("AQUILA_REDIS_URL")

    assert {check.state for check in checks()} == {"ok", "off"}
    assert not (tmp_path / "none").exists()


def test_closing_lets_the_process_start_anew() -> None:
    first = runtime()
    jobs.close()

    assert runtime() is not first
