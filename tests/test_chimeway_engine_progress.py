from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from chimeway_runs import READ, START, after
from chimeway_stage import Stage
from sqlalchemy import delete, insert, select, update

from chimeway.engine.due import due_runs, stalled_runs
from chimeway.engine.ending import cancel_run
from chimeway.engine.moves import make_move
from chimeway.errors import WorkflowConflict
from chimeway.models import WorkflowRun
from chimeway.tables import definitions, deliveries, events, preferences, run_waits, step_outputs
from chimeway.workflow import Approve, Ask, Deliver, Gate, On, Stop, Wait, Workflow, when
from chimeway.workflow.decisions import Complete
from jobs.database import Database

pytest_plugins = ["job_fixtures"]

ESCALATION = Workflow(
    "mention-escalation",
    steps=[
        Deliver(
            "inbox",
            channel="in_app",
            rules=[
                Stop("bounced"),
                Wait(hours=2, to="email", cancel_on=[READ], on_signal={"mention.replied": "thanks"}),
            ],
        ),
        Deliver("email", channel="email", rules=[On("permanent_failure", to="sms")]),
        Deliver("sms", channel="sms"),
        Deliver("thanks", channel="in_app"),
    ],
)


@pytest.fixture
def stage(database: Database) -> Stage:
    return Stage(database)


def about(run: WorkflowRun) -> dict[str, str]:
    return {"notification_id": run.notification_id}


def waits(stage: Stage, run: WorkflowRun) -> list[str]:
    query = (
        select(run_waits.c.event_name)
        .where(run_waits.c.run_id == run.run_id)
        .order_by(run_waits.c.event_name)
    )
    return stage.database.read(lambda connection: list(connection.scalars(query)))


def test_a_run_that_expires_goes_step_by_step_and_plans_one_step_at_a_time(stage: Stage) -> None:
    run = stage.start(ESCALATION)
    assert [(one.step_key, one.channel) for one in stage.deliveries(run)] == [("inbox", "in_app")]
    assert stage.progress(run, START).reason == "prior_delivery_not_converged"

    assert stage.end(run, "delivered", after(minutes=5)).reason == "waiting_for_step_progression"
    paused = stage.run(run)
    assert (paused.state, paused.due_at, paused.wait_to) == ("waiting", after(hours=2, minutes=5), "email")
    assert waits(stage, run) == [READ, "mention.replied"]
    assert stage.progress(run, after(hours=2)).reason == "wait_not_due"

    assert stage.progress(run, after(hours=3)).reason == "wait_expired"
    assert waits(stage, run) == []
    email = stage.deliveries(run)[1]
    assert email.step_key == "email"
    assert email.cancel_on == [{"event": READ, "match": about(run)}]
    assert len(stage.jobs("chimeway.deliver")) == 2

    stage.end(run, "delivered", after(hours=4))
    assert stage.run(run).state == "completed"
    assert stage.run(run).ended_at == after(hours=4)
    assert stage.history(run) == [
        (1, "active", "inbox", "workflow_started"),
        (2, "waiting", "inbox", "waiting_for_step_progression"),
        (3, "active", "email", "wait_expired"),
        (4, "completed", "email", "workflow_completed"),
    ]
    assert stage.progress(run, after(days=9)).reason == "run_not_active"


def test_a_signal_before_the_wait_is_not_lost(stage: Stage) -> None:
    run = stage.start(ESCALATION)
    signal = stage.signal(READ, about(run), after(minutes=1))
    assert stage.progress(run, after(minutes=1), signal=signal).reason == "prior_delivery_not_converged"

    stage.end(run, "delivered", after(minutes=2))

    assert stage.run(run).state == "stopped"
    assert stage.reasons(run) == ["workflow_started", "waiting_for_step_progression", f"signal:{READ}"]
    assert len(stage.deliveries(run)) == 1


def test_a_signal_is_found_when_the_wait_is_over_even_if_nobody_routed_it(stage: Stage) -> None:
    run = stage.start(ESCALATION)
    stage.end(run, "delivered", START)
    stage.signal(READ, about(run), after(minutes=1))

    assert stage.progress(run, after(hours=9)).reason == f"signal:{READ}"


def test_a_signal_from_somebody_else_or_about_something_else_stops_nothing(stage: Stage) -> None:
    run = stage.start(ESCALATION)
    stage.end(run, "delivered", START)
    stage.signal(READ, about(run), after(minutes=1), actor="bob")
    stage.signal(READ, about(run), after(minutes=1), tenant="acme")
    stage.signal(READ, {"notification_id": "another"}, after(minutes=1))
    stage.signal("mention.replied", {}, after(minutes=-1))

    assert stage.progress(run, after(minutes=2)).reason == "wait_not_due"


def test_a_signal_counts_once(stage: Stage) -> None:
    twice = Workflow(
        "twice",
        steps=[
            Gate("first", rules=[Wait(hours=1, on_signal={"go": "second"})]),
            Gate("second", rules=[Wait(hours=1, on_signal={"go": "end"})]),
            Deliver("end", channel="in_app"),
        ],
    )
    run = stage.start(twice)
    signal = stage.signal("go", {}, after(minutes=1))
    stage.progress(run, after(minutes=1), signal=signal)
    stage.progress(run, after(minutes=1), signal=signal)

    assert stage.run(run).current_step_key == "second"
    assert stage.run(run).state == "waiting"


def test_a_late_signal_is_noted_once(stage: Stage) -> None:
    run = stage.start(ESCALATION)
    stage.end(run, "delivered", START)
    stage.progress(run, after(hours=2))
    signal = stage.signal(READ, about(run), after(hours=2, minutes=1))

    for _ in range(2):
        stage.progress(run, after(hours=2, minutes=1), signal=signal)

    assert stage.history(run)[3:] == [(4, "active", "email", "signal_arrived_after_expiry")]
    assert stage.run(run).reason == "wait_expired"
    stage.end(run, "delivered", after(hours=3))
    after_end = stage.signal("mention.replied", {}, after(hours=4))
    assert stage.progress(run, after(hours=4), signal=after_end).decisions[-1].reason == "signal_after_end"
    assert stage.reasons(run)[3:] == ["signal_arrived_after_expiry", "workflow_completed", "signal_after_end"]


def test_a_signal_for_a_wait_that_is_still_to_come_is_kept_for_it(stage: Stage) -> None:
    workflow = Workflow(
        "two-waits",
        steps=[
            Deliver("a", channel="in_app", rules=[Wait(hours=1, to="b", cancel_on=[READ])]),
            Deliver("b", channel="email", rules=[Wait(hours=1, to="c", cancel_on=[READ])]),
            Deliver("c", channel="sms"),
        ],
    )
    run = stage.start(workflow)
    stage.end(run, "delivered", START)
    stage.progress(run, after(hours=1))
    signal = stage.signal(READ, about(run), after(hours=1, minutes=1))
    stage.progress(run, after(hours=1, minutes=1), signal=signal)

    stage.end(run, "delivered", after(hours=2))

    assert stage.reasons(run)[-1] == f"signal:{READ}"


def test_a_bounce_that_is_told_while_the_run_waits_stops_it(stage: Stage) -> None:
    run = stage.start(ESCALATION)
    stage.end(run, "delivered", START)

    stage.end(run, "bounced", after(minutes=5))

    assert stage.run(run).reason == "workflow_stopped:bounced"


def test_two_steps_on_one_channel_are_two_deliveries(stage: Stage) -> None:
    run = stage.start(ESCALATION)
    stage.end(run, "delivered", START)
    signal = stage.signal("mention.replied", {}, after(minutes=1))

    stage.progress(run, after(minutes=1), signal=signal)

    assert [(one.step_key, one.channel) for one in stage.deliveries(run)] == [
        ("inbox", "in_app"),
        ("thanks", "in_app"),
    ]


def test_a_delivery_that_the_recipient_does_not_want_is_passed_at_once(stage: Stage) -> None:
    workflow = Workflow(
        "unwanted",
        steps=[
            Deliver("email", channel="email", rules=[On("suppressed", to="sms")]),
            Deliver("sms", channel="sms", rules=[On("suppressed", to="inbox")]),
            Deliver("inbox", channel="in_app"),
        ],
    )
    row = {
        "tenant_id": "default",
        "recipient_identity": "ada",
        "scope": "channel",
        "subject": "",
        "enabled": False,
    }
    unwanted = [{**row, "channel": channel, "updated_at": START} for channel in ("email", "sms")]
    stage.write(lambda connection: connection.execute(insert(preferences), unwanted))

    run = stage.start(workflow)

    assert stage.run(run).current_step_key == "inbox"
    assert stage.run(run) == run
    statuses = {one.step_key: one.status.value for one in stage.deliveries(run)}
    assert statuses == {"email": "suppressed", "sms": "suppressed", "inbox": "pending"}


def test_steps_that_are_skipped_stand_in_the_history(stage: Stage) -> None:
    workflow = Workflow(
        "skips",
        steps=[
            Deliver("sms", channel="sms", when=when("params.urgent")),
            Deliver("email", channel="email", when=when("recipient.addresses.email").exists()),
            Deliver("inbox", channel="in_app", rules=[On("*", to="last")]),
            Deliver("last", channel="in_app", when=when("steps.sms.outcome") == "skipped"),
        ],
    )

    run = stage.start(workflow)
    other = stage.start(workflow, params={"urgent": True}, recipient="bob")
    third = stage.start(workflow, addresses={"email": "eve@example.com"}, recipient="eve")

    assert stage.history(run) == [
        (1, "active", "sms", "workflow_started"),
        (2, "active", "sms", "step_skipped"),
        (3, "active", "email", "step_skipped"),
        (4, "active", "inbox", "step_activated"),
    ]
    assert [one.step_key for one in stage.deliveries(run)] == ["inbox"]
    assert [one.step_key for one in stage.deliveries(other)] == ["sms"]
    assert [one.step_key for one in stage.deliveries(third)] == ["email"]
    stage.end(run, "delivered", after(minutes=1))
    assert stage.run(run).current_step_key == "last"


def test_a_first_failure_leads_on_while_the_delivery_goes_on(stage: Stage) -> None:
    workflow = Workflow(
        "early",
        steps=[
            Deliver("email", channel="email", rules=[On("temporary_failure", to="sms")]),
            Deliver("sms", channel="sms"),
        ],
    )
    run = stage.start(workflow)

    stage.end(run, "temporary_failure", START)

    assert {one.step_key: one.status.value for one in stage.deliveries(run)} == {
        "email": "failed",
        "sms": "pending",
    }


def test_only_a_short_wait_has_a_job_of_its_own(stage: Stage) -> None:
    def gate(seconds: float) -> Workflow:
        key = f"gate-{seconds}"
        return Workflow(
            key, steps=[Gate("a", rules=[Wait(seconds=seconds, to="b")]), Deliver("b", channel="in_app")]
        )

    stage.start(gate(61))
    assert stage.jobs("chimeway.progress") == []
    short = stage.start(gate(60))

    job = stage.jobs("chimeway.progress")[0]
    assert timedelta(seconds=60) <= job.scheduled_at - START < timedelta(seconds=61)
    assert stage.run(short).carrier_id == job.job_id
    assert job.arguments["args"] == [short.run_id]


APPROVAL = Workflow(
    "approval",
    steps=[
        Ask("draft", rules=[On("written", to="check"), Stop("failed")]),
        Approve(
            "check",
            of="draft",
            within=3600,
            rules=[On("approved", to="email"), Stop("rejected"), On("expired", to="inbox")],
        ),
        Deliver(
            "email",
            channel="email",
            when=when("steps.check.outcome") == "approved",
            rules=[On("skipped", to="inbox")],
        ),
        Deliver("inbox", channel="in_app"),
    ],
)


def test_a_text_is_written_and_approved_before_it_is_sent(stage: Stage) -> None:
    run = stage.start(APPROVAL)
    job = stage.jobs("chimeway.write")[0]
    assert (job.queue_name, job.arguments["args"]) == ("llm", [run.run_id, "draft"])
    assert stage.progress(run, START).reason == "step_not_written"

    stage.write_text(run, "draft", "Hello!", after(minutes=1))
    assert stage.progress(run, after(minutes=1)).reason == "waiting_for_approval"
    assert stage.run(run).due_at == after(hours=1, minutes=1)
    said = {"run_id": run.run_id, "step": "check", "decision": "approved"}
    forged = stage.signal("chimeway.approval", {**said, "decision": "rejected"}, after(minutes=1))
    assert stage.progress(run, after(minutes=1), signal=forged).reason == "wait_not_due"
    key = f"chimeway.approval:{run.run_id}:check"
    signal = stage.signal("chimeway.approval", said, after(minutes=2), dedup_key=key)
    stage.progress(run, after(minutes=2), signal=signal)

    assert stage.reasons(run)[1:] == [
        "progressed_on_step_outcome:written",
        "waiting_for_approval",
        "approval:approved",
    ]
    assert [one.step_key for one in stage.deliveries(run)] == ["email"]


def test_an_approval_that_nobody_gives_expires(stage: Stage) -> None:
    run = stage.start(APPROVAL)
    stage.write_text(run, "draft", "Hello!", START)
    stage.progress(run, START)

    assert stage.database.read(due_runs, after(hours=1), 10) == [run.run_id]
    assert stage.progress(run, after(hours=1)).reason == "approval:expired"
    assert stage.run(run).current_step_key == "inbox"


def test_a_version_is_stored_once_and_never_with_other_steps(stage: Stage) -> None:
    first, second = stage.start(ESCALATION), stage.start(ESCALATION, recipient="bob")
    assert first.definition_id == second.definition_id
    other = Workflow(ESCALATION.key, steps=[Deliver("inbox", channel="in_app")])

    with pytest.raises(WorkflowConflict, match="version=2"):
        stage.start(other, recipient="eve")

    raised = stage.start(Workflow(other.key, version=2, steps=other.steps), recipient="eve")
    assert raised.workflow_version == 2
    assert stage.run(first).workflow_version == 1


def test_a_run_is_cancelled_with_what_it_has_not_sent(stage: Stage) -> None:
    run = stage.start(ESCALATION)

    assert stage.write(cancel_run, run.run_id, "cancelled", after(minutes=1)) is True
    assert stage.write(cancel_run, run.run_id, "cancelled", after(minutes=2)) is False

    assert stage.history(run)[1:] == [(2, "stopped", "inbox", "cancelled")]
    delivery = stage.deliveries(run)[0]
    assert (delivery.status, delivery.outcome, delivery.terminal_at) == (
        "cancelled",
        "cancelled",
        after(minutes=1),
    )


def test_a_delivery_that_is_being_sent_is_not_cancelled(stage: Stage) -> None:
    run = stage.start(ESCALATION)
    sent = update(deliveries).values(status="dispatched")
    stage.write(lambda connection: connection.execute(sent))

    assert stage.write(cancel_run, run.run_id, "cancelled", START)
    assert stage.deliveries(run)[0].status == "dispatched"


def test_a_move_of_a_run_that_others_have_moved_is_not_stored(stage: Stage) -> None:
    run = stage.start(ESCALATION)
    stage.end(run, "delivered", START)

    moved = stage.write(make_move, run, Complete(reason="workflow_completed"), None, START)

    assert moved is None
    assert stage.run(run).state == "waiting"
    assert len(stage.history(run)) == 2


def test_the_runs_that_are_due_come_first_that_have_waited_longest(stage: Stage) -> None:
    late, early = stage.start(ESCALATION), stage.start(ESCALATION, recipient="bob")
    stage.end(late, "delivered", after(minutes=2))
    stage.end(early, "delivered", after(minutes=1))

    def due(**time: float) -> list[str]:
        return stage.database.read(due_runs, after(**time), 10)

    assert due(hours=2) == []
    assert due(hours=2, minutes=1) == [early.run_id]
    assert due(hours=3) == [early.run_id, late.run_id]


def test_a_workflow_of_a_newer_version_is_left_to_newer_workers(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    run = stage.start(ESCALATION)
    steps: list[Any] = [{"kind": "teleport", "key": "inbox"}]
    newer = update(definitions).where(definitions.c.id == run.definition_id).values(steps=steps)
    stage.write(lambda connection: connection.execute(newer))

    assert stage.end(run, "delivered", after(minutes=1)).reason == "run_not_readable"

    assert "teleport" in caplog.text
    assert stage.deliveries(run)[0].status == "succeeded"
    assert stage.database.read(stalled_runs, after(minutes=1), 10) == [run.run_id]
    assert stage.database.read(stalled_runs, START, 10) == []


CHAIN = Workflow(
    "chain",
    steps=[
        Deliver("first", channel="in_app", rules=[Wait(hours=1, to="grace", cancel_on=[READ])]),
        Gate("grace", rules=[Wait(hours=1, to="draft", cancel_on=["order.paid"])]),
        Ask("draft", rules=[On("*", to="second")]),
        Deliver("second", channel="email", rules=[Wait(hours=1, to="third", cancel_on=["order.sent"])]),
        Deliver("third", channel="sms"),
    ],
)


def at_its_second_delivery(stage: Stage) -> WorkflowRun:
    run = stage.start(CHAIN)
    stage.end(run, "delivered", START)
    stage.progress(run, after(hours=1))
    stage.progress(run, after(hours=2))
    stage.write_text(run, "draft", "Hello!", after(hours=2))
    stage.progress(run, after(hours=2))
    return run


def test_a_delivery_behind_steps_that_send_nothing_is_taken_back_by_what_would_have_stopped_the_waits(
    stage: Stage,
) -> None:
    run = at_its_second_delivery(stage)
    second = stage.deliveries(run)[1]
    assert second.step_key == "second"
    about_this = {"event": READ, "match": about(run)}
    assert second.cancel_on == [about_this, {"event": "order.paid", "match": {}}]

    stage.end(run, "delivered", after(hours=3))
    stage.progress(run, after(hours=4))

    assert stage.deliveries(run)[2].cancel_on == [{"event": "order.sent", "match": {}}]


def test_a_step_whose_rows_are_gone_is_planned_anew(stage: Stage) -> None:
    run = at_its_second_delivery(stage)
    planned = stage.deliveries(run)[1]
    other = stage.start(APPROVAL, recipient="bob")
    stage.write(lambda connection: connection.execute(delete(deliveries)))
    stage.write(lambda connection: connection.execute(delete(step_outputs)))
    assert sorted(stage.database.read(stalled_runs, after(hours=9), 10)) == sorted([run.run_id, other.run_id])

    assert stage.progress(run, after(hours=9)).reason == "step_activated"
    assert stage.progress(other, after(hours=9)).reason == "step_activated"

    assert [(one.step_key, one.cancel_on) for one in stage.deliveries(run)] == [("second", planned.cancel_on)]
    assert len(stage.jobs("chimeway.write")) == 3
    assert stage.database.read(stalled_runs, after(hours=10), 10) == []


def test_an_outcome_is_not_lost_when_the_next_step_cannot_be_planned(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    run = stage.start(
        Workflow(
            "two",
            steps=[
                Deliver("a", channel="in_app", rules=[On("*", to="b")]),
                Deliver("b", channel="email"),
            ],
        )
    )

    def options(given: dict[str, Any]) -> None:
        stage.write(lambda connection: connection.execute(update(events).values(options=given)))

    options({"digest": {"colour": "a secret"}})

    assert stage.end(run, "delivered", after(minutes=1)).reason == "run_not_readable"

    assert run.run_id in caplog.text
    assert "secret" not in caplog.text
    assert [one.status for one in stage.deliveries(run)] == ["succeeded"]
    assert stage.run(run) == run
    assert stage.reasons(run) == ["workflow_started"]
    assert stage.database.read(stalled_runs, after(minutes=1), 10) == [run.run_id]

    options({})
    assert stage.progress(run, after(minutes=2)).reason == "progressed_on_delivery_outcome:delivered"
    assert [one.step_key for one in stage.deliveries(run)] == ["a", "b"]


def test_a_run_that_is_not_there_is_no_error(stage: Stage) -> None:
    assert stage.progress(stage.start(ESCALATION).evolve(run_id="none"), START).reason == "run_not_found"
