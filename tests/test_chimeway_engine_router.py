from __future__ import annotations

import pytest
from chimeway_runs import READ, START, after
from chimeway_stage import Stage
from sqlalchemy import select

from chimeway.engine.router import route_signal
from chimeway.models import Signal, WorkflowRun
from chimeway.tables import signals
from chimeway.workflow import Deliver, SignalMatch, Wait, Workflow
from jobs.database import Database

pytest_plugins = ["job_fixtures"]

REMINDER = Workflow(
    "reminder",
    steps=[
        Deliver(
            "inbox", channel="in_app", rules=[Wait(hours=2, to="email", cancel_on=[READ, "account.closed"])]
        ),
        Deliver("email", channel="email"),
    ],
)


@pytest.fixture
def stage(database: Database) -> Stage:
    return Stage(database)


def in_wait(stage: Stage, workflow: Workflow = REMINDER, **facts: object) -> WorkflowRun:
    run = stage.start(workflow, **facts)
    stage.end(run, "delivered", START)
    return run


def read(stage: Stage, run: WorkflowRun, *, hours: float = 1) -> Signal:
    return stage.signal(READ, {"notification_id": run.notification_id}, after(hours=hours))


def test_a_signal_stops_the_run_that_it_is_about_and_no_other(stage: Stage) -> None:
    one, other = in_wait(stage), in_wait(stage)
    signal = read(stage, one)

    assert stage.write(route_signal, signal.signal_id, after(hours=1)) == {one.run_id: f"signal:{READ}"}

    assert stage.run(one).state == "stopped"
    assert stage.run(other).state == "waiting"


def test_a_signal_about_the_person_stops_all_of_their_runs(stage: Stage) -> None:
    one, other, stranger = in_wait(stage), in_wait(stage), in_wait(stage, recipient="bob")
    signal = stage.signal("account.closed", {}, after(hours=1))

    stage.write(route_signal, signal.signal_id, after(hours=1))

    assert [stage.run(run).state for run in (one, other, stranger)] == ["stopped", "stopped", "waiting"]


def test_a_signal_is_routed_once(stage: Stage) -> None:
    run = in_wait(stage)
    signal = read(stage, run)

    assert stage.write(route_signal, signal.signal_id, after(hours=1)) is not None
    assert stage.write(route_signal, signal.signal_id, after(hours=1)) is None
    assert stage.write(route_signal, "none", after(hours=1)) is None

    row = stage.database.read(lambda connection: connection.execute(select(signals)).one())
    assert row.processed_at == after(hours=1)
    assert row.result == {"runs": {run.run_id: f"signal:{READ}"}}


def test_a_signal_told_twice_stops_the_run_once(stage: Stage) -> None:
    run = in_wait(stage)
    for signal in (read(stage, run), read(stage, run)):
        stage.write(route_signal, signal.signal_id, after(hours=1))

    assert stage.reasons(run)[2:] == [f"signal:{READ}", "signal_after_end"]


def test_a_signal_of_another_tenant_or_person_reaches_no_run(stage: Stage) -> None:
    run = in_wait(stage)
    about = {"notification_id": run.notification_id}
    for facts in ({"actor": "bob"}, {"tenant": "acme"}):
        signal = stage.signal(READ, about, after(hours=1), **facts)
        assert stage.write(route_signal, signal.signal_id, after(hours=1)) == {}

    assert stage.run(run).state == "waiting"


def test_a_signal_that_names_an_ended_run_is_noted_and_another_one_is_not(stage: Stage) -> None:
    run = in_wait(stage)
    stage.progress(run, after(hours=2))
    stage.end(run, "delivered", after(hours=3))

    late = stage.write(route_signal, read(stage, run, hours=4).signal_id, after(hours=4))
    closed = stage.signal("account.closed", {}, after(hours=4))

    assert late == {run.run_id: "signal_after_end"}
    assert stage.write(route_signal, closed.signal_id, after(hours=4)) == {}


def test_a_signal_that_comes_after_expiry_says_so(stage: Stage) -> None:
    run = in_wait(stage)
    stage.progress(run, after(hours=2))

    result = stage.write(route_signal, read(stage, run, hours=3).signal_id, after(hours=3))

    assert result == {run.run_id: "signal_arrived_after_expiry"}


def test_a_signal_may_be_about_a_parameter_of_the_trigger(stage: Stage) -> None:
    wait = Wait(hours=2, to="email", cancel_on=[SignalMatch("order.paid", {"order": "$params.order"})])
    workflow = Workflow(
        "cart",
        steps=[Deliver("inbox", channel="in_app", rules=[wait]), Deliver("email", channel="email")],
    )
    one = in_wait(stage, workflow, params={"order": 1})
    other = in_wait(stage, workflow, params={"order": 2})

    signal = stage.signal("order.paid", {"order": 2}, after(hours=1))
    result = stage.write(route_signal, signal.signal_id, after(hours=1))

    assert result is not None
    assert result[other.run_id] == "signal:order.paid"
    assert [stage.run(run).state for run in (one, other)] == ["waiting", "stopped"]
