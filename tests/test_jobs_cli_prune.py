from __future__ import annotations

import json
import math
from typing import Any

import pytest
import typer
from job_rows import add
from sqlalchemy import update
from typer.testing import CliRunner

from aquila.errors import ConfigError
from jobs.broker import runtime
from jobs.cli.dead_letters import dead_command, retry_all_command
from jobs.cli.durations import parse_duration
from jobs.cli.prune import prune_command
from jobs.database import Database
from jobs.rows import Job
from jobs.sqltypes import db_now
from jobs.tables import jobs as jobs_table

pytest_plugins = ["job_fixtures"]

app = typer.Typer()
app.command("prune")(prune_command)
app.command("dead")(dead_command)
app.command("retry-all")(retry_all_command)


@pytest.fixture
def used(place: None) -> Database:
    return runtime().database()


def ended(database: Database, state: str, days: float, **columns: Any) -> Job:
    job = add(database)
    values = {"state": state, "ended_at": db_now(-days * 86_400), **columns}
    change = update(jobs_table).where(jobs_table.c.id == job.job_id).values(values)
    database.write(lambda connection: connection.execute(change))
    return job


def said(*arguments: str) -> str:
    done = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90.0), ("1.5h", 5400.0), ("15m", 900.0), ("7d", 604_800.0), ("0", 0.0), ("forever", math.inf)],
)
def test_a_span_is_a_number_and_its_unit(text: str, seconds: float) -> None:
    assert parse_duration("--completed", text) == seconds


@pytest.mark.parametrize("text", ["7", "", "d", "-1d", "1w", "soon", "1h30m"])
def test_what_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(
        ConfigError, match=f"--completed {text!r} is no span of time; write a number and its unit"
    ):
        parse_duration("--completed", text)


def test_prune_says_what_it_removed(used: Database) -> None:
    ended(used, "completed", 8), ended(used, "completed", 9), ended(used, "discarded", 31)

    assert said("prune", "--dry-run") == "3 jobs would be removed: 2 completed, 1 discarded\n"
    assert said("prune") == "3 jobs removed: 2 completed, 1 discarded\n"
    assert said("prune") == "0 jobs removed\n"


def test_prune_takes_ages_and_prints_json(used: Database) -> None:
    ended(used, "cancelled", 1), ended(used, "discarded", 2)

    assert said("prune", "--completed", "12h") == "1 job removed: 1 cancelled\n"
    assert json.loads(said("prune", "--discarded", "0", "--json"))["discarded"] == 1


def test_dead_lists_the_newest_first_with_the_reason(used: Database) -> None:
    error = {"attempt": 2, "error": "ValueError", "message": "no\nluck", "at": "2026-11-24T12:00:00"}
    old = ended(used, "discarded", 2, reason="attempt 2 of 2 failed", errors=[error])
    new = ended(used, "discarded", 1, queue_name="llm")

    header, first, second = said("dead").splitlines()
    assert header.split()[:2] == ["JOB", "DISCARDED"]
    assert first.startswith(new.job_id[:8])
    assert first.endswith("add    no reason is stored")
    assert second.startswith(old.job_id[:8])
    assert second.endswith("add    ValueError: no luck (attempt 2 of 2 failed)")
    assert said("dead", "--queue", "llm", "--limit", "5").count("\n") == 2
    assert said("dead", "--actor", "pay") == "no discarded jobs\n"
    assert json.loads(said("dead", "--since", "36h", "--json"))["job_id"] == new.job_id


def test_retry_all_runs_again_what_the_options_name(used: Database) -> None:
    ended(used, "discarded", 2), ended(used, "discarded", 1), ended(used, "discarded", 1, queue_name="llm")

    assert said("retry-all", "--since", "36h", "--queue", "default") == "1 job will run again\n"
    assert said("retry-all", "--since", "forever") == "2 jobs will run again\n"
    assert said("dead") == "no discarded jobs\n"
