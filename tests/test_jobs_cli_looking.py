from __future__ import annotations

import json
import time

import pytest
import typer
from job_actors import add, refuse, tell
from job_workers import until_state, working
from typer.testing import CliRunner, Result

import jobs
from aquila.errors import ConfigError
from jobs.cli.jobs import app
from jobs.cli.queues import app as queues_app

pytest_plugins = ["job_fixtures"]
pytestmark = pytest.mark.usefixtures("place")


def local_zone() -> str:
    return time.tzname[time.localtime().tm_isdst]


def run(*arguments: str) -> Result:
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done


def test_a_list_has_a_header_that_names_the_time_zone() -> None:
    add.send(1, 2)
    tell.send("hello")

    header, *lines = run("ls").stdout.splitlines()

    assert header.split() == ["JOB", "STATE", "TRIES", "ADDED", f"({local_zone()})", "QUEUE", "ACTOR"]
    assert [line[header.index("QUEUE") :].split() for line in lines] == [["llm", "tell"], ["default", "add"]]


def test_a_list_is_narrowed_by_queue_actor_tag_and_age() -> None:
    first, second = add.options(tags=["acme"]).send(1, 2), tell.send("hello")

    def listed(*arguments: str) -> list[str]:
        lines = run("ls", "--json", *arguments).stdout.splitlines()
        return [json.loads(line)["job_id"] for line in lines]

    assert listed("--queue", "llm") == listed("--actor", "tell") == [second.job_id]
    assert listed("--tag", "acme", "--since", "1h") == [first.job_id]
    assert listed("--since", "0") == []
    with pytest.raises(ConfigError, match="--since 'soon' is no span of time"):
        run("ls", "--since", "soon")


async def test_a_row_is_shown_with_all_that_a_reader_needs() -> None:
    handle = add.options(tags=["acme"], unique="sum", timeout=30).send(1, 2)
    async with working():
        await handle.aresult(timeout=20)

    shown = run("show", handle.job_id).stdout

    facts = dict(line.split(maxsplit=1) for line in shown.splitlines())
    assert (facts["arguments"], facts["tags"], facts["result"]) == ("1, 2", "acme", "3")
    assert facts["worker"]
    assert "unique key           add:sum\n" in shown


async def test_a_discarded_row_shows_why() -> None:
    handle = refuse.send()
    async with working():
        await until_state(handle, "discarded")

    shown = run("show", handle.job_id).stdout

    assert "reason               BadRequestError is not cured by another attempt\n" in shown


def test_a_row_and_a_list_show_what_is_in_the_way() -> None:
    handle = add.send(1, 2)
    jobs.pause_queue("default")

    shown = run("show", handle.job_id)
    listed = run("ls")

    assert "waits                the queue 'default' is paused since" in shown.stdout
    assert shown.stderr == ""
    assert listed.stderr.startswith("note: the queue 'default' is paused since ")
    assert listed.stderr.count("\n") == 1


async def test_a_completed_job_runs_again_only_if_that_is_said() -> None:
    handle = add.send(1, 2)
    async with working():
        await handle.aresult(timeout=20)

    said = f"job {handle.job_id[:8]} is completed; running it again repeats its steps: add --yes"
    with pytest.raises(ConfigError, match=said):
        run("retry", handle.job_id)
    assert handle.status() == "completed"
    run("retry", handle.job_id, "--yes")
    assert handle.status() == "available"


def test_json_is_all_that_stands_on_stdout() -> None:
    handle = add.send(1, 2)

    listed, shown = run("ls", "--json"), run("show", handle.job_id, "--json")

    assert json.loads(listed.stdout)["job_id"] == json.loads(shown.stdout)["job_id"] == handle.job_id
    assert listed.stdout.count("\n") == 1
    assert json.loads(run("prune", "--json").stdout)["completed"] == 0
    assert run("dead", "--json").stdout == ""


@pytest.mark.parametrize("group", [app, queues_app], ids=["jobs", "queues"])
def test_the_help_of_a_group_has_the_exit_codes(group: typer.Typer) -> None:
    said = CliRunner().invoke(group, ["--help"]).stdout
    listing = CliRunner().invoke(group, ["ls", "--help"]).stdout

    assert "Exit codes: 0 what was asked for has happened; 1 it has not" in " ".join(said.split())
    assert "Print one JSON object a line" in listing
