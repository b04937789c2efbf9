"""The reference of the notifications is written by hand: every public name and word stands in it, and no other name."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields, is_dataclass
from enum import EnumMeta
from types import FunctionType
from typing import Any, get_args

import pytest
import typer
from typer.main import get_command

import chimeway
import chimeway.adapters
import chimeway.testing
from chimeway.cli import notify_app, signal_app, workflow_app
from chimeway.models import Orchestration
from chimeway.planning import PlanOptions
from chimeway.policy import Reason
from chimeway.workflow import decisions
from tests.project_cassettes import ROOT


def _text(name: str) -> str:
    return (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")


def _code(text: str) -> set[str]:
    """Give what stands in code spans, word by word."""
    return {word for span in re.findall(r"`([^`\n]+)`", text) for word in re.findall(r"\w+", span)}


REFERENCE, GUIDE, WORKFLOWS = _text("chimeway-reference"), _text("chimeway"), _text("workflows")
CODE = _code(REFERENCE)
#: Modules that are public by themselves.
MODULES = {"adapters", "testing", "web"}
EXPORTED = [
    *((chimeway, name) for name in chimeway.__all__),
    *((chimeway.adapters, name) for name in chimeway.adapters.__all__),
    *((chimeway.testing, name) for name in chimeway.testing.__all__),
]
PUBLIC = [getattr(module, name) for module, name in EXPORTED]
#: Values that are explained in other words than field by field: what rules and steps are made of.
DECLARED = {"Approve", "Ask", "Deliver", "Gate", "On", "SignalMatch", "Stop", "Summarise", "Wait", "Workflow"}
#: Values whose options stand in the guide's own tables.
IN_THE_GUIDE = {"Content", "Digest", "Recipient", "Throttle"}
VALUES = [one for one in PUBLIC if is_dataclass(one) and one.__name__ not in DECLARED | IN_THE_GUIDE]


def first_cells(text: str) -> set[str]:
    """Give the words in the code spans of the first cells of all tables."""
    rows = (line.split(" | ", maxsplit=1)[0] for line in text.splitlines() if line.startswith("| `"))
    return {
        word for cell in rows for span in re.findall(r"`([^`]+)`", cell) for word in re.findall(r"\w+", span)
    }


@pytest.mark.parametrize("name", [name for _module, name in EXPORTED])
def test_a_public_name_stands_in_the_reference(name: str) -> None:
    assert name in CODE


@pytest.mark.parametrize("text", [REFERENCE, GUIDE, WORKFLOWS, _text("chimeway-howto")])
def test_no_name_stands_in_the_documents_that_is_not_public(text: str) -> None:
    said = set(re.findall(r"\bchimeway\.(\w+)(?=\()|`chimeway\.(\w+)`", text))
    names = {name for pair in said for name in pair if name} - {"delivery", "notification", "approval"}

    assert names - set(chimeway.__all__) - MODULES == set()


@pytest.mark.parametrize("kind", VALUES, ids=lambda kind: kind.__name__)
def test_every_part_of_a_value_stands_there(kind: Any) -> None:
    parts = {field.name for field in fields(kind)}
    own = {name for name, one in vars(kind).items() if isinstance(one, FunctionType | property)}
    parts |= {name for name in own if not name.startswith("_")}

    assert parts - CODE - {"is_news", "view"} == set()


@pytest.mark.parametrize(
    "kind", [chimeway.DeliveryStatus, chimeway.Outcome, chimeway.RunState, Orchestration]
)
def test_every_state_stands_there(kind: EnumMeta) -> None:
    assert {str(one.value) for one in kind} - CODE == set()  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", inspect.signature(chimeway.configure).parameters)
def test_every_option_of_configure_stands_in_its_table(name: str) -> None:
    assert re.search(rf"^\| `{name}`", GUIDE, re.MULTILINE)


def test_every_attribute_of_a_notifier_and_option_of_a_trigger_stands_in_its_table() -> None:
    attributes = {name for name in vars(chimeway.Notifier)["__annotations__"] if not name.startswith("_")}
    options = {*inspect.signature(chimeway.Notifier.trigger).parameters} - {"recipient", "params"}
    planned = {field.name for field in fields(PlanOptions)}

    assert (attributes | options | planned) - first_cells(GUIDE) == set()


@pytest.mark.parametrize("kind", [chimeway.Content, chimeway.Digest])
def test_every_field_of_a_declaration_stands_in_its_table(kind: Any) -> None:
    assert {field.name for field in fields(kind)} - first_cells(GUIDE) == set()


@pytest.mark.parametrize("reason", get_args(Reason))
def test_every_reason_of_the_policy_stands_in_its_table(reason: str) -> None:
    assert reason in first_cells(GUIDE)


def test_every_reason_of_a_run_stands_in_its_table() -> None:
    words = {value for name, value in vars(decisions).items() if name.isupper() and isinstance(value, str)}

    assert words - first_cells(WORKFLOWS) == set()


def test_every_reason_of_an_explanation_stands_in_a_table() -> None:
    sources = "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "chimeway" / "explain").glob("*.py")
    )
    words = set(re.findall(r"(?:Words\(\s*reason=|by_the_sweep\(\s*|Hold\(\s*)\"(\w+)\"", sources))

    assert {"queued", "carrier_ended", "queue_paused"} <= words
    # Of a trace only the sentence is given.
    of_a_trace = {"planned", "planning_failed"}
    assert words - first_cells(GUIDE) - first_cells(WORKFLOWS) - {"delivered"} - of_a_trace == set()


@pytest.mark.parametrize("name", ["Deliver", "Gate", "Ask", "Summarise", "Approve"])
def test_every_outcome_of_a_step_stands_in_its_row(name: str) -> None:
    row = next(line for line in WORKFLOWS.splitlines() if line.startswith(f"| `{name}("))

    assert set(getattr(chimeway, name).outcomes) - _code(row) == set()


@pytest.mark.parametrize(
    ("group", "app"), [("notify", notify_app), ("workflow", workflow_app), ("signal", signal_app)]
)
def test_every_command_stands_there(group: str, app: typer.Typer) -> None:
    commands = vars(get_command(app))["commands"]
    rows = [line for line in REFERENCE.splitlines() if line.startswith(f"| `aquila {group} ")]

    assert [name for name in commands if not any(re.search(rf"`[^`]*\b{name}\b", row) for row in rows)] == []
