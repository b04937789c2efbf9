"""Two workers at one run: whatever they do at the same time, exactly one of them decides."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from chimeway_runs import READ, START, after
from chimeway_stage import Stage, ended, signalled, started
from sqlalchemy import Connection, insert, select

from chimeway.engine.definitions import store_definition
from chimeway.engine.due import due_runs
from chimeway.engine.ending import cancel_run
from chimeway.engine.progress import progress_run
from chimeway.engine.router import route_signal
from chimeway.models import WorkflowRun
from chimeway.rows import as_record
from chimeway.tables import deliveries, run_waits, runs, transitions
from chimeway.workflow import Deliver, Gate, Wait, Workflow
from jobs.database import Database
from jobs.rows import new_id

pytest_plugins = ["job_fixtures"]

# What follows is cheap, so that a thousand races take seconds: the run is complete when its time is over.
REMINDER = Workflow(
    "reminder",
    steps=[
        Gate("grace", rules=[Wait(hours=2, cancel_on=[READ], on_signal={"go": "email"})]),
        Deliver("email", channel="email"),
    ],
)
DUE = after(hours=2)
RACES = 1000
#: Races between two meetings of the racers, so that neither runs ahead.
HEAT = 20
#: Runs that a transaction of a racer goes through; in one order, so that none waits for one that waits for it.
TOGETHER = 2


@pytest.fixture
def stage(database: Database) -> Stage:
    return Stage(database)


def many_waiting(connection: Connection, count: int) -> list[WorkflowRun]:
    """Add runs that stand at their gate, as if each had come there by itself."""
    definition_id = store_definition(connection, REMINDER, START)
    common = {
        "tenant_id": "default",
        "event_id": "event",
        "definition_id": definition_id,
        "workflow_key": REMINDER.key,
        "workflow_version": 1,
        "current_step_key": "grace",
        "state": "waiting",
        "reason": "waiting_for_step_progression",
        "due_at": DUE,
        "wait_to": None,
        "wait_epoch": 1,
        "revision": 2,
        "step_started_at": START,
        "started_at": START,
        "last_transition_at": START,
    }
    rows = [
        {"id": new_id(), "notification_id": new_id(), "recipient_identity": f"person-{number}", **common}
        for number in range(count)
    ]
    connection.execute(insert(runs), rows)
    wait = {"tenant_id": "default", "event_name": READ, "wait_epoch": 1}
    connection.execute(
        insert(run_waits),
        [{"run_id": row["id"], "actor_id": row["recipient_identity"], **wait} for row in rows],
    )
    return [as_record(WorkflowRun, row) for row in rows]


def expire(connection: Connection, run: WorkflowRun) -> None:
    # As the sweep does, which also makes the racers equally fast.
    due_runs(connection, DUE, 1)
    progress_run(connection, run.run_id, DUE)


def cancel(connection: Connection, run: WorkflowRun) -> None:
    cancel_run(connection, run.run_id, "cancelled", DUE)


def signal(connection: Connection, run: WorkflowRun) -> None:
    about = {"notification_id": run.notification_id}
    told = signalled(connection, READ, about, DUE, actor=run.recipient_identity)
    progress_run(connection, run.run_id, DUE, signal=told)


def route(connection: Connection, run: WorkflowRun) -> None:
    about = {"notification_id": run.notification_id}
    told = signalled(connection, READ, about, DUE, actor=run.recipient_identity)
    route_signal(connection, told.signal_id, DUE)


def race(
    stage: Stage, racers: list[Callable[[Connection, WorkflowRun], None]], many: list[WorkflowRun]
) -> None:
    """Let each racer go through the runs in a thread of its own, all at the same runs at the same time."""
    met = Barrier(len(racers), timeout=30)

    def some(connection: Connection, racer: Callable[[Connection, WorkflowRun], None], start: int) -> None:
        for run in many[start : start + TOGETHER]:
            racer(connection, run)

    def go(racer: Callable[[Connection, WorkflowRun], None]) -> None:
        for start in range(0, len(many), TOGETHER):
            if start % HEAT == 0:
                met.wait()
            stage.write(some, racer, start)

    with ThreadPoolExecutor(len(racers)) as pool:
        for done in [pool.submit(go, racer) for racer in racers]:
            done.result()


def histories(stage: Stage) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    query = select(transitions.c.run_id, transitions.c.reason).order_by(
        transitions.c.run_id, transitions.c.seq
    )
    for run_id, reason in stage.database.read(lambda connection: connection.execute(query).all()):
        found.setdefault(run_id, []).append(reason)
    return found


def test_of_a_signal_and_an_expiry_at_the_same_time_one_decides(stage: Stage) -> None:
    many = stage.write(many_waiting, RACES)

    race(stage, [expire, signal], many)

    found = histories(stage)
    outcomes = {tuple(found[run.run_id]) for run in many}
    assert outcomes <= {(f"signal:{READ}",), ("workflow_completed", "signal_after_end")}
    assert len(found) == RACES


ESCALATION = Workflow(
    "escalation",
    steps=[
        Deliver("inbox", channel="in_app", rules=[Wait(hours=2, to="email", cancel_on=[READ])]),
        Deliver("email", channel="email"),
    ],
)
FEW = 60


def begun(stage: Stage) -> list[WorkflowRun]:
    def begin(connection: Connection) -> list[WorkflowRun]:
        return [started(connection, ESCALATION, START, recipient=f"person-{number}") for number in range(FEW)]

    return stage.write(begin)


def deliver(connection: Connection, run: WorkflowRun) -> None:
    ended(connection, run.run_id, "delivered", START)


def test_a_signal_at_the_moment_at_which_the_wait_begins_is_not_lost(stage: Stage) -> None:
    many = begun(stage)

    race(stage, [deliver, route], many)

    assert {stage.run(run).reason for run in many} == {f"signal:{READ}"}


def test_two_workers_that_end_a_wait_at_the_same_time_plan_one_delivery(stage: Stage) -> None:
    many = begun(stage)
    for run in many:
        stage.write(deliver, run)

    race(stage, [expire, expire], many)

    found = histories(stage)
    assert {tuple(found[run.run_id]) for run in many} == {
        ("workflow_started", "waiting_for_step_progression", "wait_expired")
    }
    planned = select(deliveries.c.id).where(deliveries.c.step_key == "email")
    assert len(stage.database.read(lambda connection: connection.execute(planned).all())) == FEW


def test_a_run_that_is_cancelled_while_it_goes_on_leaves_nothing_to_send(stage: Stage) -> None:
    many = begun(stage)
    for run in many:
        stage.write(deliver, run)

    race(stage, [expire, cancel], many)

    assert {stage.run(run).reason for run in many} == {"cancelled"}
    assert {one.status.value for run in many for one in stage.deliveries(run)} <= {"succeeded", "cancelled"}
