from __future__ import annotations

import json

import pytest
from job_actors import add, tell
from job_workers import working
from typer.testing import CliRunner, Result

import jobs
from aquila.errors import ConfigError
from jobs.cli.queues import app
from jobs.queues import paused_queues

pytest_plugins = ["job_fixtures"]
pytestmark = pytest.mark.usefixtures("place")


def queues(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, catch_exceptions=False)


def test_without_any_queue_the_list_says_so() -> None:
    assert queues("ls").stdout == "no queues\n"
    assert queues("ls", "--json").stdout == ""


async def test_queues_are_listed() -> None:
    for _ in range(2):
        add.send(1, 2)
    tell.options(delay=60).send("hello")
    async with working(other=3, llm=2), working(other=4):
        lines = queues("ls").stdout.splitlines()

    assert lines == [
        "default  2 available; no worker",
        "llm      1 scheduled; 1 worker, limit per worker 2",
        "other    no jobs; 2 workers, limit per worker 3 to 4",
    ]


def test_a_paused_queue_and_a_limit_for_the_fleet_are_listed() -> None:
    jobs.close()
    jobs.configure(global_limits={"default": 2})
    add.send(1, 2)
    queues("pause", "default")

    (line,) = queues("ls").stdout.splitlines()
    facts = json.loads(queues("ls", "--json").stdout)

    assert line.startswith("default  1 available; paused since 20")
    assert line.endswith("; no worker; 2 over all workers")
    assert facts.pop("paused_at") is not None
    assert facts == {
        "name": "default",
        "states": {"available": 1},
        "workers": 0,
        "worker_limits": [],
        "limit": 0,
        "global_limit": 2,
    }


def test_a_queue_is_paused_and_resumed() -> None:
    add.send(1, 2)

    assert queues("pause", "default").stdout == "default paused\n"
    assert queues("pause", "default").stdout == "default was paused already\n"
    assert paused_queues() == ["default"]
    resumed = queues("resume", "default")
    assert (resumed.stdout, resumed.stderr) == ("default goes on\n", "")
    assert queues("resume", "default").stdout == "default was not paused\n"


def test_a_queue_that_nobody_has_named_is_noted_and_paused() -> None:
    paused = queues("pause", "typo")

    assert paused.stdout == "typo paused\n"
    assert paused.stderr == "note: no job and no worker has named a queue 'typo' yet\n"
    assert paused_queues() == ["typo"]
    assert queues("pause", "llm").stderr == ""


def test_a_name_that_no_queue_can_have_is_refused() -> None:
    with pytest.raises(ConfigError, match="queue name 'a b'"):
        queues("pause", "a b")
