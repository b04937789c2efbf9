from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from chimeway_runs import START
from chimeway_stage import Stage, notified
from sqlalchemy import Connection, event, insert, select

from chimeway.engine.definitions import load_definition, store_definition
from chimeway.engine.starting import start_runs
from chimeway.errors import NotificationNotFound, WorkflowConflict
from chimeway.models import WorkflowRun
from chimeway.rows import get_event, get_run
from chimeway.tables import definitions, events, notifications
from chimeway.workflow import Deliver, Wait, Workflow
from jobs.database import Database
from jobs.rows import new_id

pytest_plugins = ["job_fixtures"]

TWO_STEPS = Workflow(
    "two-steps",
    steps=[
        Deliver("inbox", channel="in_app", rules=[Wait(hours=1, to="email")]),
        Deliver("email", channel="email"),
    ],
)


@pytest.fixture
def stage(database: Database) -> Stage:
    return Stage(database)


def begin(connection: Connection, count: int, workflow: Workflow = TWO_STEPS) -> list[WorkflowRun]:
    first = notified(connection, START)
    rest = [{"id": new_id(), "recipient_identity": f"person-{number}"} for number in range(count - 1)]
    row = {
        "event_id": first.event_id,
        "tenant_id": "default",
        "notification_key": "mention",
        "created_at": START,
    }
    about = {"recipient_type": "user", "contents": {}, "addresses": {}}
    if rest:
        connection.execute(insert(notifications), [{**one, **row, **about} for one in rest])
    many = [
        first,
        *(
            first.evolve(notification_id=one["id"], recipient_identity=one["recipient_identity"])
            for one in rest
        ),
    ]
    happened = get_event(connection, first.event_id)
    return start_runs(connection, event=happened, notifications=many, workflow=workflow, now=START)


def test_many_runs_begin_with_as_few_statements_as_one(stage: Stage) -> None:
    counts = []

    def count(*_facts: Any) -> None:
        counts[-1] += 1

    event.listen(stage.database.engine, "before_cursor_execute", count)
    for many in (1, 200):
        counts.append(0)
        begun = stage.write(begin, many)
        assert len({run.run_id for run in begun}) == many
    event.remove(stage.database.engine, "before_cursor_execute", count)

    assert counts[1] <= counts[0] + 10
    assert len(stage.deliveries(begun[-1])) == 1
    assert stage.database.read(get_run, begun[-1].run_id) == begun[-1]


def test_no_recipients_are_no_runs(stage: Stage) -> None:
    def nobody(connection: Connection) -> list[WorkflowRun]:
        happened = get_event(connection, notified(connection, START).event_id)
        return start_runs(connection, event=happened, notifications=[], workflow=TWO_STEPS, now=START)

    assert stage.write(nobody) == []


def test_a_conflict_leaves_the_callers_transaction_usable(stage: Stage) -> None:
    stage.write(begin, 1)
    other = Workflow(TWO_STEPS.key, steps=[Deliver("inbox", channel="in_app")])

    def goes_on(connection: Connection) -> str:
        with pytest.raises(WorkflowConflict, match="version=2"):
            store_definition(connection, other, START)
        return notified(connection, START).event_id

    kept = stage.write(goes_on)

    found = stage.database.read(lambda connection: connection.scalars(select(events.c.id)).all())
    assert kept in found


def test_processes_that_store_a_workflow_at_the_same_time_store_one(stage: Stage) -> None:
    met = Barrier(4, timeout=30)

    def store() -> str:
        met.wait()
        return stage.write(store_definition, TWO_STEPS, START)

    with ThreadPoolExecutor(4) as pool:
        ids = {one.result() for one in [pool.submit(store) for _ in range(4)]}

    stored = stage.database.read(lambda connection: connection.scalars(select(definitions.c.id)).all())
    assert ids == set(stored)
    assert len(ids) == 1


def test_a_stored_workflow_is_read_as_it_was(stage: Stage) -> None:
    definition_id = stage.write(store_definition, TWO_STEPS, START)

    assert stage.database.read(load_definition, definition_id) == TWO_STEPS
    with pytest.raises(NotificationNotFound, match="none"):
        stage.database.read(load_definition, "none")
