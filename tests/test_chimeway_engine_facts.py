from __future__ import annotations

from typing import Any

import pytest
from chimeway_runs import after
from chimeway_stage import Stage

from chimeway.workflow import Deliver, Gate, SignalMatch, Wait, Workflow
from jobs.database import Database

pytest_plugins = ["job_fixtures"]


@pytest.fixture
def stage(database: Database) -> Stage:
    return Stage(database)


DONE = SignalMatch("done", {"what": "$params.what"})
WORKFLOW = Workflow(
    "w",
    steps=[Gate("a", rules=[Wait(hours=1, to="b", cancel_on=[DONE])]), Deliver("b", channel="in_app")],
)
SAME: list[tuple[Any, Any]] = [
    (7, 7),
    (7, 7.0),
    (7.0, 7),
    (0, 0),
    (0, -0.0),
    (-3, -3.0),
    (7.5, 7.5),
    (10**20, 10**20),
    (True, True),
    (False, False),
    (None, None),
    ("x", "x"),
    ("7", "7"),
    ([1], [1]),
]
OTHER: list[tuple[Any, Any]] = [
    (7, "7"),
    ("7", 7),
    (7, 8),
    (7, "abc"),
    (7, None),
    (7, [7]),
    (True, 1),
    (True, "true"),
    ("true", True),
    (1, True),
    (False, 0),
    (None, False),
    ([1], [True]),
]


def test_a_signal_matches_a_value_of_the_same_kind(stage: Stage) -> None:
    found = []
    for number, (param, told) in enumerate([*SAME, *OTHER]):
        recipient = f"r{number}"
        run = stage.start(WORKFLOW, params={"what": param}, recipient=recipient)
        stage.signal("done", {"what": told, "more": "x"}, after(minutes=1), actor=recipient)
        if stage.progress(run, after(minutes=2)).reason == "signal:done":
            found.append((param, told))

    assert [*map(repr, found)] == [*map(repr, SAME)]
