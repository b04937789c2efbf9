from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from chimeway_explained import ADDRESS, SECRET, Drafted, Escalating, Stand, a_stand, end_job
from sqlalchemy import delete, update

import chimeway
from chimeway import store
from chimeway.approvals.giving import approve, reject
from chimeway.cancelling import cancel
from chimeway.dispatch.outcome import conclude
from chimeway.dispatch.performing import perform_sync
from chimeway.engine.router import route_signal
from chimeway.errors import NotificationNotFound, PermanentFailure
from chimeway.explain import (
    Explanation,
    aexplain_notification,
    aexplain_run,
    explain_notification,
    explain_run,
)
from chimeway.in_app.marks import mark_read
from chimeway.models import Outcome
from chimeway.tables import definitions, deliveries, step_outputs
from chimeway.writing.results import fail_step, keep_step

pytest_plugins = ["job_fixtures", "chimeway_fixtures"]
BOTH = pytest.mark.parametrize("place", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def stand(place: None) -> Iterator[Stand]:
    with a_stand() as made, made.all_queues():
        yield made


def begun(stand: Stand, notifier: type[chimeway.Notifier] = Escalating, **params: Any) -> str:
    """Trigger; give the run."""
    planned = notifier.trigger(stand.recipient("ada"), {"word": SECRET, **params}).notifications[0]
    return stand.run_of(planned.notification_id)


def waiting(stand: Stand) -> str:
    """A run that waits for two hours after its inbox."""
    run_id = begun(stand)
    perform_sync(stand.steps(run_id)["inbox"])
    return run_id


def signalled(stand: Stand, name: str, run_id: str) -> None:
    signal = chimeway.track("default", "ada", name)
    store.write(route_signal, signal.signal_id, stand.clock.now())


def states(said: Explanation) -> dict[str, str]:
    assert SECRET not in json.dumps(said.to_dict())
    assert ADDRESS not in json.dumps(said.to_dict())
    return {step.step_key: step.state for step in said.steps}


def why(said: Explanation, key: str) -> str:
    return next(step.summary for step in said.steps if step.step_key == key)


def test_a_run_whose_step_is_being_delivered_says_what_that_waits_for(stand: Stand) -> None:
    said = explain_run(begun(stand))

    assert (said.state, said.reason) == ("active", "queued")
    assert said.summary.startswith(
        "workflow 'explained.escalating' for 'ada': at the step 'inbox', in_app: not sent yet: its job"
    )
    assert states(said) == {"inbox": "pending", "email": "ahead", "sms": "ahead", "thanks": "ahead"}
    assert why(said, "email") == "not planned yet: the step 'inbox' before it is not over"


@BOTH
def test_a_run_that_waits_says_until_when_and_for_which_signals(stand: Stand) -> None:
    said = explain_run(waiting(stand))

    assert (said.state, said.reason) == ("waiting", "waiting_for_step_progression")
    assert "it waits at the step 'inbox' until " in said.summary
    assert (
        "for the signal 'chimeway.notification.read' or 'answered', and the step 'email' follows"
        in said.summary
    )
    assert states(said) == {"inbox": "succeeded", "email": "ahead", "sms": "ahead", "thanks": "ahead"}
    assert why(said, "email").startswith("not planned yet: it waits at the step 'inbox' until")
    assert said.remedy is None


def test_a_wait_that_nobody_will_end_says_so(place: None) -> None:
    with a_stand() as stand:
        run_id = waiting(stand)
        early = explain_run(run_id)
        stand.clock.advance(hours=3)
        late = explain_run(run_id)
        with stand.all_queues():
            served = explain_run(run_id)

    assert early.reason == "waiting_for_step_progression"
    assert early.summary.endswith("as it is, no worker serves this database")
    assert early.remedy == late.remedy
    assert late.reason == "no_worker"
    assert "which is over, and the step 'email' follows: it was due at" in late.summary
    assert late.remedy is not None
    assert late.remedy.startswith("start one with `aquila worker MODULE`, or call chimeway.sweep()")
    assert served.reason == "wait_due"
    assert served.summary.endswith("the next sweep moves it on")


@BOTH
def test_a_run_that_a_signal_stopped_says_which(stand: Stand) -> None:
    run_id = waiting(stand)
    stand.clock.advance(minutes=5)
    mark_read("ada", stand.notification_of(run_id))
    stand.clock.advance(minutes=1)
    stand.progress(run_id)

    said = explain_run(run_id)

    assert (said.state, said.reason) == ("stopped", "signal:chimeway.notification.read")
    assert "stopped at" in said.summary
    assert said.summary.endswith("by the signal 'chimeway.notification.read'")
    assert states(said) == {"inbox": "succeeded", "email": "never", "sms": "never", "thanks": "never"}
    assert "never planned: the workflow was stopped at" in why(said, "email")
    assert [entry.what for entry in said.timeline] == [
        "event_created",
        "notification_created",
        "workflow_started",
        "delivery_planned",
        "attempt_recorded",
        "workflow_waiting",
        "notification_read",
        "signal_tracked",
        "workflow_stopped",
    ]


def test_steps_that_a_signal_jumps_over_are_told_as_passed_over(stand: Stand) -> None:
    run_id = waiting(stand)
    signalled(stand, "answered", run_id)

    said = explain_run(run_id)

    assert states(said) == {
        "inbox": "succeeded",
        "email": "passed_over",
        "sms": "passed_over",
        "thanks": "pending",
    }
    assert why(said, "email") == "passed over: the signal 'answered' came, and the step 'thanks' followed"


def test_a_step_whose_condition_did_not_hold_is_told_as_skipped(stand: Stand) -> None:
    run_id = stand.escalated("ada")
    stand.email.errors = [PermanentFailure("forbidden")]
    perform_sync(stand.steps(run_id)["email"])

    said = explain_run(run_id)

    assert states(said) == {"inbox": "succeeded", "email": "cancelled", "sms": "skipped", "thanks": "pending"}
    assert why(said, "sms").endswith("its condition did not hold")
    assert "workflow_step_skipped" in [entry.what for entry in said.timeline]


def test_a_run_that_is_complete_says_after_which_step(stand: Stand) -> None:
    run_id = stand.escalated("ada")
    perform_sync(stand.steps(run_id)["email"])

    said = explain_run(run_id)

    assert (said.state, said.reason) == ("completed", "workflow_completed")
    assert said.summary.endswith("after the step 'email'")
    assert states(said) == {"inbox": "succeeded", "email": "succeeded", "sms": "never", "thanks": "never"}
    assert "the workflow was complete at" in why(said, "sms")


def test_a_signal_after_the_wait_is_told_and_changed_nothing(stand: Stand) -> None:
    run_id = stand.escalated("ada")
    stand.clock.advance(minutes=1)
    signalled(stand, "answered", run_id)

    said = explain_run(run_id)

    late = next(entry for entry in said.timeline if entry.what == "workflow_signal_arrived_after_expiry")
    assert late.detail == "a signal came when the wait for it was over, and changed nothing"
    assert said.timeline[-2].what == "signal_tracked"
    assert said.timeline[-1] == late


def test_a_run_that_was_stopped_by_hand_says_why(stand: Stand) -> None:
    run_id = waiting(stand)
    cancel(notification_id=stand.notification_of(run_id), reason="no_longer_needed")

    said = explain_run(run_id)

    assert said.summary.endswith(": no_longer_needed")
    assert "stopped by hand at" in said.summary


def test_a_step_that_came_out_as_the_workflow_stops_at_says_so(stand: Stand) -> None:
    run_id = waiting(stand)
    inbox = stand.now(stand.steps(run_id)["inbox"])
    store.write(conclude, inbox, Outcome.BOUNCED, stand.clock.now())

    said = explain_run(run_id)

    assert said.reason == "workflow_stopped:bounced"
    assert said.summary.endswith("the step 'inbox' came out as bounced, at which it stops")


@BOTH
def test_a_text_that_is_written_and_approved_is_told_step_by_step(stand: Stand) -> None:
    run_id = begun(stand, Drafted)
    writing = explain_run(run_id)
    assert writing.summary.endswith("waits for its turn in 'llm'")
    assert states(writing) == {"draft": "pending", "check": "ahead", "email": "ahead"}

    store.write(keep_step, SECRET, stand.clock.now(), run_id=run_id, step_key="draft")
    asking = explain_run(run_id)
    assert asking.reason == "waiting_for_approval"
    assert (
        "it waits at the step 'check' for ever for a person to approve what the step 'draft' wrote"
        in asking.summary
    )
    assert asking.remedy == f"`aquila workflow approve {run_id[:8]}` or `aquila workflow reject {run_id[:8]}`"
    assert states(asking) == {"draft": "written", "check": "waiting", "email": "ahead"}

    approve(run_id, by="bo")
    stand.progress(run_id)
    approved = explain_run(run_id)
    assert why(approved, "check") == "its turn is over: what a model wrote was approved"
    assert states(approved) == {"draft": "written", "check": "passed", "email": "pending"}
    assert "what a model wrote was approved: the step 'email' follows" in [
        one.detail for one in approved.timeline
    ]


def test_a_text_that_was_rejected_is_told_as_what_stopped_the_run(stand: Stand) -> None:
    run_id = begun(stand, Drafted)
    store.write(keep_step, SECRET, stand.clock.now(), run_id=run_id, step_key="draft")
    reject(run_id, by="bo")
    stand.progress(run_id)

    said = explain_run(run_id)

    assert (said.state, said.reason) == ("stopped", "approval:rejected")
    assert said.summary.endswith(", at the step 'check': what a model wrote was rejected")
    assert states(said)["email"] == "never"
    assert "what a model wrote was rejected: the workflow is stopped" in [one.detail for one in said.timeline]


def test_a_step_for_which_nothing_is_planned_is_told(stand: Stand) -> None:
    run_id = begun(stand)
    store.write(lambda connection: connection.execute(delete(deliveries)))

    said = explain_run(run_id)

    assert said.reason == "stalled"
    assert "at the step 'inbox', for which nothing is planned, and no worker" in said.summary


def test_a_text_that_could_not_be_written_is_told(stand: Stand) -> None:
    run_id = begun(stand, Drafted)
    store.write(fail_step, "the model is away", stand.clock.now(), run_id=run_id, step_key="draft")

    said = explain_run(run_id)

    assert said.reason == "workflow_stopped:failed"
    assert states(said)["draft"] == "failed"


def test_a_writer_that_is_gone_is_told(stand: Stand) -> None:
    run_id = begun(stand, Drafted)
    carrier = store.read(
        lambda connection: connection.execute(
            step_outputs.select().where(step_outputs.c.run_id == run_id)
        ).one()
    ).carrier_id
    end_job(carrier)

    assert "was discarded with WorkerLost" in explain_run(run_id).summary


def test_a_workflow_of_a_newer_version_is_told_without_its_steps(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = begun(stand)
    monkeypatch.setattr("chimeway.engine.definitions._READ", {})
    newer: list[Any] = [{"kind": "teleport", "key": "inbox"}]
    store.write(lambda connection: connection.execute(update(definitions).values(steps=newer)))
    perform_sync(stand.steps(run_id)["inbox"])

    said = explain_run(run_id)

    assert (said.state, said.reason, said.steps) == ("active", "stalled", ())
    assert "which is over, and no worker that knows its workflow has moved it on" in said.summary


async def test_another_tenants_run_is_not_found(stand: Stand) -> None:
    run_id = begun(stand)
    assert (await aexplain_run(run_id, "default")).explained_id == run_id

    with pytest.raises(NotificationNotFound, match="no workflow run"):
        await aexplain_run(run_id, "acme")
    with pytest.raises(NotificationNotFound, match="rolled back"):
        explain_run("none")


async def test_a_notification_is_told_with_its_run_and_its_deliveries(stand: Stand) -> None:
    run_id = stand.escalated("ada")
    notification_id = stand.notification_of(run_id)

    said = explain_notification(notification_id, "default")

    by_step = stand.steps(run_id)
    assert [one.explained_id for one in said] == [run_id, by_step["inbox"], by_step["email"]]
    assert await aexplain_notification(notification_id) == said
    with pytest.raises(NotificationNotFound, match="no notification"):
        explain_notification(notification_id, "acme")
