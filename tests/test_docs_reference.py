"""The reference of the jobs is written by hand: every public name and every command stands in it, and no other."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields

import pytest
import typer
from typer.main import get_command

import jobs
from jobs.cli import db_app, jobs_app, queues_app
from jobs.tables import STATES
from tests.project_cassettes import ROOT

TEXT = (ROOT / "docs" / "jobs-reference.md").read_text(encoding="utf-8")
#: What stands in code spans, word by word.
CODE = {word for span in re.findall(r"`([^`\n]+)`", TEXT) for word in re.findall(r"\w+", span)}
#: What the class itself calls, and nobody else.
UNSAID = {"JobContext": {"report", "once"}}


@pytest.mark.parametrize("name", jobs.__all__)
def test_a_public_name_stands_in_the_reference(name: str) -> None:
    assert name in CODE


def test_no_name_stands_there_that_is_not_public() -> None:
    said = set(re.findall(r"`@?jobs\.(\w+)", TEXT)) - {"web", "testing"}

    assert said - set(jobs.__all__) == set()


@pytest.mark.parametrize(
    "kind", [jobs.Job, jobs.JobHandle, jobs.JobContext, jobs.JobEvent], ids=lambda k: k.__name__
)
def test_every_part_of_a_value_stands_there(kind: type) -> None:
    parts = {field.name for field in fields(kind)}
    parts |= {name for name, _ in inspect.getmembers(kind) if not name.startswith("_")}

    assert parts - UNSAID.get(kind.__name__, set()) - CODE == set()


@pytest.mark.parametrize("state", STATES)
def test_every_state_stands_there(state: str) -> None:
    assert f"`{state}`" in TEXT


@pytest.mark.parametrize("name", inspect.signature(jobs.configure).parameters)
def test_every_option_of_configure_stands_in_its_table(name: str) -> None:
    guide = (ROOT / "docs" / "jobs.md").read_text(encoding="utf-8")

    assert re.search(rf"^\| `{name}`", guide, re.MULTILINE)


def test_every_option_of_an_actor_and_of_a_send_stands_in_its_table() -> None:
    guide = (ROOT / "docs" / "jobs.md").read_text(encoding="utf-8")
    first_cells = {
        word
        for line in guide.splitlines()
        if line.startswith("| `")
        for word in re.findall(r"`(\w+)`", line.split(" | ", maxsplit=1)[0])
    }
    options = {*inspect.signature(jobs.actor).parameters, *inspect.signature(jobs.Actor.options).parameters}

    assert options - {"fn", "unknown", "self"} - first_cells == set()


@pytest.mark.parametrize(("group", "app"), [("jobs", jobs_app), ("queues", queues_app), ("db", db_app)])
def test_every_command_stands_there(group: str, app: typer.Typer) -> None:
    commands = vars(get_command(app))["commands"]
    rows = [line for line in TEXT.splitlines() if line.startswith(f"| `aquila {group} ")]

    assert [name for name in commands if not any(re.search(rf"`[^`]*\b{name}\b", row) for row in rows)] == []
