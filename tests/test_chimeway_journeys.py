"""Whole journeys, by workers in this process: what is triggered, waits, is signalled, escalates and ends."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
from chimeway_notifiers import Mention, MovedClock, Recorder, Welcome, told
from job_workers import until, working
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy import Connection, select

import chimeway
from chimeway import store
from chimeway.rows import as_record, deliveries_of_event, find_signal
from chimeway.sweeping import sweep
from chimeway.tables import runs, transitions
from jobs.tables import jobs as job_rows

pytest_plugins = ["job_fixtures", "chimeway_fixtures"]
pytestmark = pytest.mark.parametrize("place", ["sqlite", "postgresql"], indirect=True)

READ = "chimeway.notification.read"


def run_of(done: chimeway.Triggered) -> chimeway.WorkflowRun:
    def read(connection: Connection) -> chimeway.WorkflowRun:
        query = select(runs).where(runs.c.event_id == done.event.event_id)
        return as_record(chimeway.WorkflowRun, connection.execute(query).mappings().one())

    return store.read(read)


def stands(done: chimeway.Triggered, state: str) -> Callable[[], bool]:
    return lambda: run_of(done).state == state


def steps(done: chimeway.Triggered) -> list[tuple[str, str]]:
    return [(one.step_key, one.status.value) for one in store.read(deliveries_of_event, done.event.event_id)]


def history(done: chimeway.Triggered) -> list[str]:
    query = (
        select(transitions.c.reason)
        .where(transitions.c.run_id == run_of(done).run_id)
        .order_by(transitions.c.seq)
    )
    return store.read(lambda connection: list(connection.scalars(query)))


async def test_a_mention_that_nobody_reads_escalates_step_by_step(
    queued: None, email: Recorder, clock: MovedClock
) -> None:
    async with working():
        done = await Mention.atrigger("ada", {"who": "Bo"})
        await until(stands(done, "waiting"))
        assert not email.sent
        clock.advance(hours=2, seconds=1)
        sweep()
        await until(lambda: len(email.sent) == 1 and run_of(done).state == "waiting")
        clock.advance(hours=1, seconds=1)
        sweep()
        await until(stands(done, "completed"))

    assert [message.content.subject for message in email.sent] == ["Bo mentioned you", "Bo still waits"]
    assert steps(done) == [("inbox", "succeeded"), ("email", "succeeded"), ("reminder", "succeeded")]


async def test_a_mention_that_is_read_while_it_waits_goes_no_further(
    queued: None, email: Recorder, clock: MovedClock
) -> None:
    async with working():
        done = await Mention.atrigger("ada", {"who": "Bo"})
        await until(stands(done, "waiting"))
        payload = {"notification_id": done.notifications[0].notification_id}
        await chimeway.atrack("default", "ada", READ, payload)
        await until(stands(done, "stopped"))
        clock.advance(days=1)
        assert sweep().waits == 0

    assert run_of(done).reason == f"signal:{READ}"
    assert steps(done) == [("inbox", "succeeded")]


async def test_a_signal_before_the_wait_is_not_lost(queued: None, email: Recorder, clock: MovedClock) -> None:
    done = await Mention.atrigger("ada", {"who": "Bo"})
    await chimeway.atrack("default", "ada", READ, {"notification_id": done.notifications[0].notification_id})
    async with working():
        await until(stands(done, "stopped"))

    assert run_of(done).reason == f"signal:{READ}"


@pytest.mark.parametrize(
    ("tenant", "actor", "about"),
    [("default", "bo", "this"), ("other", "ada", "this"), ("default", "ada", "another")],
)
async def test_a_signal_of_somebody_else_or_about_something_else_changes_nothing(
    queued: None, clock: MovedClock, tenant: str, actor: str, about: str
) -> None:
    async with working():
        done = await Mention.atrigger("ada", {"who": "Bo"})
        await until(stands(done, "waiting"))
        notification_id = done.notifications[0].notification_id if about == "this" else "f" * 32
        signal = await chimeway.atrack(tenant, actor, READ, {"notification_id": notification_id})
        await until(lambda: store.read(chimeway_signal, signal.signal_id).processed_at)

    assert run_of(done).state == "waiting"


def chimeway_signal(connection: Connection, signal_id: str) -> chimeway.Signal:
    found = find_signal(connection, signal_id)
    assert found is not None
    return found


async def test_a_signal_twice_is_one(queued: None, clock: MovedClock) -> None:
    async with working():
        done = await Mention.atrigger("ada", {"who": "Bo"})
        await until(stands(done, "waiting"))
        payload = {"notification_id": done.notifications[0].notification_id}
        first = await chimeway.atrack("default", "ada", READ, payload, dedup_key="read-1")
        second = await chimeway.atrack("default", "ada", READ, payload, dedup_key="read-1")
        third = await chimeway.atrack("default", "ada", READ, payload)
        await until(lambda: store.read(chimeway_signal, third.signal_id).processed_at)
        await until(stands(done, "stopped"))

    assert second.signal_id == first.signal_id
    assert [reason for reason in history(done) if reason.startswith("signal:")] == [f"signal:{READ}"]


async def test_what_is_read_after_the_wait_is_over_but_before_the_mail_goes_out_is_not_mailed(
    queued: None, email: Recorder, clock: MovedClock
) -> None:
    async with working(chimeway_workflows=5, chimeway_signals=5):
        done = await Mention.atrigger("ada", {"who": "Bo"})
        async with working(chimeway_delivery=5):
            await until(stands(done, "waiting"))
        # From here on nobody delivers.
        clock.advance(hours=2, seconds=1)
        sweep()
        await until(lambda: len(steps(done)) == 2)
        payload = {"notification_id": done.notifications[0].notification_id}
        late = await chimeway.atrack("default", "ada", READ, payload)
        await until(lambda: store.read(chimeway_signal, late.signal_id).processed_at)
        async with working(chimeway_delivery=5):
            await until(lambda: steps(done)[1][1] == "suppressed")

    assert not email.sent
    assert store.read(deliveries_of_event, done.event.event_id)[1].reason == "cancelled_by_signal"
    assert "signal_arrived_after_expiry" in history(done)


def test_a_workflow_moves_under_the_synchronous_dispatcher_as_far_as_it_goes(
    place: None, clock: MovedClock
) -> None:
    email, sms = Recorder("email"), Recorder("sms")

    class Alarm(chimeway.Notifier):
        notification_key = "test.alarm"
        email = chimeway.Content(text="fire")
        sms = chimeway.Content(text="fire!")
        workflow = chimeway.Workflow(
            "test.alarm",
            version=1,
            steps=[
                chimeway.Deliver("mail", channel="email", rules=[chimeway.On("bounced", to="text")]),
                chimeway.Deliver("text", channel="sms"),
            ],
        )

    email.errors = [chimeway.Bounced("gone")]
    with told(dispatcher="sync", channels={"email": email, "sms": sms}, clock=clock):
        done = Alarm.trigger("1", {})

    assert [(one.step_key, one.outcome) for one in done.deliveries] == [
        ("mail", "bounced"),
        ("text", "delivered"),
    ]
    assert run_of(done).state == "completed"


def job_states(connection: Connection) -> list[str]:
    return list(connection.scalars(select(job_rows.c.state)))


async def test_secrets_are_in_no_job_no_log_and_no_span(
    queued: None,
    email: Recorder,
    clock: MovedClock,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spans = InMemorySpanExporter()
    provider = TracerProvider()
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    provider.add_span_processor(SimpleSpanProcessor(spans))
    caplog.set_level(logging.DEBUG)
    email.errors = [chimeway.TemporaryFailure("refused: token=sk-proj-abcdefghijklmnopqrstuvwx1234567890")]
    person = chimeway.Recipient("1", addresses={"email": "plum@example.com"})
    async with working():
        await Welcome.atrigger(person, {"name": "plum-name", "password": "plum-password"})
        await until(lambda: email.calls)
        await until(lambda: "completed" in store.read(job_states))

    kept = store.read(lambda c: str(c.execute(select(job_rows)).all()))
    told_of = kept + caplog.text + str([span.to_json() for span in spans.get_finished_spans()])
    assert "plum" not in told_of
    assert "sk-proj-abc" not in told_of
    assert len(spans.get_finished_spans()) > 0
