from __future__ import annotations

from typing import Any

import anyio
import pytest
from chimeway_faults import refuse_changes
from chimeway_notifiers import MovedClock, Recorder
from job_model import Model, followed, text_of
from job_workers import until, working
from sqlalchemy import select, update

import chimeway
from aquila.cassette import use
from aquila.errors import APIStatusError, ConfigError
from chimeway import store
from chimeway.content import Content
from chimeway.engine.ending import cancel_run
from chimeway.models import Delivery, WorkflowRun
from chimeway.rows import as_record, get_delivery, get_run
from chimeway.tables import deliveries, notifications, preferences, runs, step_outputs
from chimeway.writing.lost import settle_lost_contents, settle_lost_writes
from chimeway.writing.results import fail_content, fail_step, keep_content, keep_step
from chimeway.writing.writer import _said, write, write_content
from jobs.context import JobContext, running
from jobs.tables import jobs as job_rows

pytest_plugins = ["job_fixtures", "chimeway_fixtures"]

BOTH = pytest.mark.parametrize("place", ["sqlite", "postgresql"], indirect=True)
OUTCOMES = [chimeway.On("written", to="email"), chimeway.On("failed", to="plain")]


class Drafted(chimeway.Notifier):
    """A model drafts, another shortens it, and the e-mail brings it."""

    notification_key = "test.writing.drafted"
    draft = Content(prompt="Draft for {name}.", instructions="Be kind.", model="m2")
    short = Content(text_from="draft")
    email = Content(subject="For you", text_from="short")
    plain = Content(text="Nobody wrote anything.")
    workflow = chimeway.Workflow(
        "test.writing.drafted",
        steps=[
            chimeway.Ask(
                "draft", rules=[chimeway.On("written", to="short"), chimeway.On("failed", to="plain")]
            ),
            chimeway.Summarise("short", rules=OUTCOMES),
            chimeway.Deliver("email", channel="email"),
            chimeway.Deliver("plain", channel="email"),
        ],
    )


class Greeting(chimeway.Notifier):
    notification_key = "test.writing.greeting"
    channels = ("email",)
    only_unread = ("email",)
    email = Content(subject="Hi", prompt="Greet {name}.")


class Lasting(chimeway.Notifier):
    """Has a text in case no model writes one."""

    notification_key = "test.writing.lasting"
    channels = ("email",)
    email = Content(prompt="Greet {name}.", text="Hello.")


class Lighthouse(chimeway.Notifier):
    notification_key = "test.writing.lighthouse"
    draft = Content(prompt="What is a {what}?", instructions="Answer in one short sentence.", model="local")
    workflow = chimeway.Workflow("test.writing.lighthouse", steps=[chimeway.Ask("draft")])


class Blank(chimeway.Notifier):
    notification_key = "test.writing.blank"
    ask = Content(prompt="{what}")
    workflow = chimeway.Workflow(
        "test.writing.blank", steps=[chimeway.Ask("ask", rules=[chimeway.Stop("failed")])]
    )


def started(notifier: type[chimeway.Notifier] = Drafted, **params: Any) -> str:
    about = notifier.trigger("ada", params or {"name": "Ada"}).notifications[0]
    query = select(runs.c.id).where(runs.c.notification_id == about.notification_id)
    return store.read(lambda connection: connection.execute(query).scalar_one())


def pending(notifier: type[chimeway.Notifier] = Greeting) -> str:
    return notifier.trigger("ada", {"name": "Ada"}).deliveries[0].delivery_id


def run(run_id: str) -> WorkflowRun:
    return store.read(get_run, run_id)


def delivery(delivery_id: str) -> Delivery:
    return store.read(get_delivery, delivery_id)


def of_run(run_id: str) -> list[Delivery]:
    query = select(deliveries).where(deliveries.c.run_id == run_id)
    return store.read(lambda c: [as_record(Delivery, row) for row in c.execute(query).mappings()])


def output(run_id: str, step_key: str) -> Any:
    mine = (step_outputs.c.run_id == run_id, step_outputs.c.step_key == step_key)
    return store.read(lambda c: c.execute(select(step_outputs).where(*mine)).one())


def end_job(job_id: str | None, state: str) -> None:
    errors = [{"error": "ConnectionFailed", "message": "gone"}] if state == "discarded" else []
    ended = update(job_rows).where(job_rows.c.id == job_id).values(state=state, errors=errors)
    store.write(lambda connection: connection.execute(ended))


def shorten(prompt: str) -> str:
    return "Short." if prompt.startswith("Summarise") else "A long draft."


@BOTH
async def test_steps_of_a_workflow_are_written_by_jobs_whose_words_can_be_followed(
    queued: None, email: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Model(shorten)
    async with model.serving(monkeypatch), working():
        run_id = started()
        events = await followed(output(run_id, "draft").carrier_id)
        await until(lambda: email.sent)
        await until(lambda: run(run_id).state == "completed")

    assert text_of(events) == "A long draft."
    assert model.asked[0] == "Draft for Ada."
    assert model.asked[1] == "Summarise the following:\n\nA long draft."
    assert (model.bodies[0]["model"], model.bodies[0]["messages"][0]["content"]) == ("m2", "Be kind.")
    assert [output(run_id, key).output for key in ("draft", "short")] == ["A long draft.", "Short."]
    assert email.texts == ["Short."]


@BOTH
async def test_a_delivery_is_written_and_then_sent(
    queued: None, email: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Model(lambda _: "Dear Ada.")
    async with model.serving(monkeypatch), working():
        one = pending()
        events = await followed(str(delivery(one).carrier_id))
        await until(lambda: delivery(one).status == "succeeded")

    assert text_of(events) == delivery(one).written == "Dear Ada."
    assert email.texts == ["Dear Ada."]
    assert email.sent[0].content.subject == "Hi"


async def test_a_step_is_written_by_a_model_on_this_machine(queued: None, project_cassettes: None) -> None:
    with use("chimeway/write"):
        run_id = started(Lighthouse, what="lighthouse")
    async with working():
        await until(lambda: output(run_id, "draft").state != "pending")

    assert "light" in output(run_id, "draft").output.lower()
    assert run(run_id).state == "completed"


async def test_the_prompts_are_in_no_job_s_arguments(queued: None) -> None:
    run_id, one = started(), pending()
    query = select(job_rows.c.arguments, job_rows.c.metadata, job_rows.c.max_attempts)
    found = store.read(lambda connection: connection.execute(query).all())

    assert sorted((row.arguments["args"] for row in found), key=len) == [[one], [run_id, "draft"]]
    assert [row.metadata for row in found] == [{}, {}]
    assert {row.max_attempts for row in found} == {5}


async def test_no_transaction_is_open_while_the_model_answers(
    queued: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Model(shorten)
    model.holds = lambda _: True
    run_id = started()
    async with model.serving(monkeypatch), anyio.create_task_group() as group:
        group.start_soon(write, run_id, "draft")
        await until(lambda: model.asked)
        assert store.database().engine.pool.checkedout() == 0  # type: ignore[attr-defined]
        model.go_on.set()

    assert output(run_id, "draft").state == "written"


@BOTH
async def test_two_jobs_of_one_step_store_one_text_and_move_the_run_once(
    queued: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = iter(["first", "second"])
    model = Model(lambda _: next(said))
    run_id = started()
    async with model.serving(monkeypatch), anyio.create_task_group() as group:
        group.start_soon(write, run_id, "draft")
        group.start_soon(write, run_id, "draft")

    assert output(run_id, "draft").output in {"first", "second"}
    assert (run(run_id).current_step_key, run(run_id).revision) == ("short", 2)
    await write(run_id, "draft")
    assert len(model.asked) == 2


def test_what_was_stored_first_stays(queued: None, clock: MovedClock) -> None:
    run_id, one = started(), pending()
    step = {"run_id": run_id, "step_key": "draft"}

    assert store.write(keep_step, "first", clock.now(), **step)
    assert not store.write(keep_step, "second", clock.now(), **step)
    assert not store.write(fail_step, "late", clock.now(), **step)
    kept = output(run_id, "draft")
    assert (kept.state, kept.output, kept.error) == ("written", "first", None)
    assert store.write(keep_content, "first", clock.now(), delivery_id=one)
    assert not store.write(keep_content, "second", clock.now(), delivery_id=one)
    assert not store.write(fail_content, "late", clock.now(), delivery_id=one)
    assert (delivery(one).written, delivery(one).orchestration_state) == ("first", "ready")


@BOTH
async def test_an_error_that_no_attempt_cures_fails_the_step_and_the_run_goes_by_its_rules(
    queued: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = started()
    async with Model(lambda _: "400 Bad Request").serving(monkeypatch):
        with pytest.raises(APIStatusError):
            await write(run_id, "draft")

    failed = output(run_id, "draft")
    assert (failed.state, failed.output) == ("failed", None)
    assert failed.error.startswith("BadRequestError: ")
    assert [one.step_key for one in of_run(run_id)] == ["plain"]


async def test_an_empty_answer_is_no_text_and_another_attempt_is_made_but_after_the_last(
    queued: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = started()
    async with Model(lambda _: " ").serving(monkeypatch):
        for attempt, state in ((4, "pending"), (5, "failed")):
            with (
                running(JobContext(id="job", attempt=attempt)),
                pytest.raises(chimeway.ChimewayError) as caught,
            ):
                await write(run_id, "draft")
            assert output(run_id, "draft").state == state

    assert str(caught.value) == f"the model wrote nothing for step 'draft' of workflow run {run_id}"
    assert output(run_id, "draft").error == f"ChimewayError: {caught.value}"


async def test_a_step_with_nothing_to_ask_fails_at_once(queued: None) -> None:
    run_id = started(Blank, what=" ")
    with pytest.raises(ConfigError, match="neither a prompt nor a text"):
        await write(run_id, "ask")

    assert output(run_id, "ask").error == (
        f"NotifierInvalid: step 'ask' of workflow run {run_id} has neither a prompt nor a text; give its Content one"
    )
    assert run(run_id).reason == "workflow_stopped:failed"


def test_a_key_that_an_error_repeats_is_not_kept() -> None:
    said = _said(RuntimeError("no such key: sk-proj-" + "a1B2" * 12))

    assert said == "RuntimeError: no such key: [redacted]"


async def test_the_text_of_a_run_that_was_stopped_meanwhile_is_kept_and_nothing_else_happens(
    queued: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Model(shorten)
    model.holds = lambda _: True
    run_id = started()
    async with model.serving(monkeypatch), anyio.create_task_group() as group:
        group.start_soon(write, run_id, "draft")
        await until(lambda: model.asked)
        store.write(cancel_run, run_id, "cancelled", MovedClock().now())
        model.go_on.set()

    assert output(run_id, "draft").output == "A long draft."
    assert (run(run_id).state, run(run_id).reason, of_run(run_id)) == ("stopped", "cancelled", [])


async def test_a_run_that_ended_before_asks_no_model(queued: None, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model(shorten)
    run_id = started()
    store.write(cancel_run, run_id, "cancelled", MovedClock().now())
    async with model.serving(monkeypatch):
        await write(run_id, "draft")

    assert model.asked == []
    assert output(run_id, "draft").state == "failed"


async def test_what_is_not_there_asks_no_model(queued: None) -> None:
    await write("0" * 32, "draft")
    await write_content("0" * 32)


async def test_a_delivery_that_nobody_needs_any_more_asks_no_model(
    queued: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Model(shorten)
    read, off = pending(), pending(Lasting)
    when = MovedClock().now()
    mine = notifications.c.id == delivery(read).notification_id
    store.write(lambda c: c.execute(update(notifications).where(mine).values(read_at=when)))
    row = {"tenant_id": "default", "recipient_identity": "ada", "scope": "channel", "channel": "email"}
    subject = {"subject": Lasting.notification_key, "enabled": False, "updated_at": when}
    store.write(lambda c: c.execute(preferences.insert().values(**row, **subject)))
    async with model.serving(monkeypatch):
        await write_content(read)
        await write_content(off)

    assert model.asked == []
    assert [delivery(one).reason for one in (read, off)] == ["already_read", "channel_disabled"]


@BOTH
async def test_a_delivery_without_a_text_is_cancelled_when_none_was_written(
    queued: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = pending()
    async with Model(lambda _: "400 Bad Request").serving(monkeypatch):
        with pytest.raises(APIStatusError):
            await write_content(one)

    ended = delivery(one)
    assert (ended.status, ended.outcome, ended.reason) == ("cancelled", "permanent_failure", "content_failed")
    assert ended.reason_context is not None
    assert ended.reason_context["error"].startswith("BadRequestError: ")


async def test_a_delivery_with_a_text_of_its_own_goes_out_with_that(
    queued: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = pending(Lasting)
    async with Model(lambda _: "400 Bad Request").serving(monkeypatch):
        with pytest.raises(APIStatusError):
            await write_content(one)

    ready = delivery(one)
    assert (ready.status, ready.orchestration_state, ready.written) == ("pending", "ready", None)


async def test_a_delivery_that_was_cancelled_while_it_was_written_stays_so(
    queued: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Model(shorten)
    model.holds = lambda _: True
    one = pending()
    async with model.serving(monkeypatch), anyio.create_task_group() as group:
        group.start_soon(write_content, one)
        await until(lambda: model.asked)
        cancelled = update(deliveries).where(deliveries.c.id == one).values(status="cancelled")
        store.write(lambda connection: connection.execute(cancelled))
        model.go_on.set()

    assert (delivery(one).status, delivery(one).written) == ("cancelled", None)


@BOTH
def test_steps_whose_jobs_ended_without_a_word_have_failed(queued: None, clock: MovedClock) -> None:
    lost, cancelled, waits = started(), started(), started()
    end_job(output(lost, "draft").carrier_id, "discarded")
    end_job(output(cancelled, "draft").carrier_id, "cancelled")

    settled = store.write(settle_lost_writes, clock.now(), 10)

    assert sorted(settled) == sorted([(lost, "draft"), (cancelled, "draft")])
    assert output(lost, "draft").error == "its job was discarded: ConnectionFailed: gone"
    assert output(cancelled, "draft").error == "its job was cancelled"
    assert [run(one).current_step_key for one in (lost, cancelled, waits)] == ["plain", "plain", "draft"]
    assert store.write(settle_lost_writes, clock.now(), 10) == []


@BOTH
def test_a_lost_text_that_cannot_be_settled_keeps_no_other_from_being_settled(
    queued: None, clock: MovedClock, caplog: pytest.LogCaptureFixture
) -> None:
    lost = sorted(started() for _ in range(4))
    for one in lost:
        end_job(output(one, "draft").carrier_id, "discarded")
    for one in lost[:2]:
        refuse_changes(step_outputs, one, column="run_id")

    # Those that cannot be settled come first, and as many as are looked up at once.
    assert store.write(settle_lost_writes, clock.now(), 2) == [(one, "draft") for one in lost[2:]]
    assert [output(one, "draft").state for one in lost] == ["pending", "pending", "failed", "failed"]
    assert [run(one).current_step_key for one in lost] == ["draft", "draft", "plain", "plain"]
    assert all(f"workflow run {one}, step draft: its lost text" in caplog.text for one in lost[:2])


@BOTH
def test_a_lost_text_of_a_delivery_that_cannot_be_settled_keeps_no_other_from_going_out(
    queued: None, clock: MovedClock, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = sorted(pending(Lasting) for _ in range(2))
    for one in (bad, good):
        end_job(delivery(one).carrier_id, "discarded")
    refuse_changes(deliveries, bad)

    assert store.write(settle_lost_contents, clock.now(), 10) == [good]
    assert (delivery(bad).orchestration_state, delivery(good).orchestration_state) == (
        "content_pending",
        "ready",
    )
    assert f"delivery {bad}: its lost text" in caplog.text


@BOTH
def test_an_error_that_no_database_holds_does_not_keep_a_delivery_from_ending(
    queued: None, clock: MovedClock
) -> None:
    delivery_id = pending()

    assert store.write(fail_content, "a\x00b\ud800", clock.now(), delivery_id=delivery_id)
    assert delivery(delivery_id).status == "cancelled"
    assert "a\ufffdb\ufffd" in str(delivery(delivery_id).reason_context)


def test_a_step_whose_job_was_completed_and_left_nothing_gets_another_job(
    queued: None, clock: MovedClock
) -> None:
    run_id = started()
    before = output(run_id, "draft").carrier_id
    end_job(before, "completed")

    assert store.write(settle_lost_writes, clock.now(), 10) == [(run_id, "draft")]
    after = output(run_id, "draft")
    assert (after.state, after.carrier_id == before) == ("pending", False)
    state = select(job_rows.c.state).where(job_rows.c.id == after.carrier_id)
    assert store.read(lambda connection: connection.execute(state).scalar_one()) == "available"


@BOTH
def test_deliveries_whose_texts_were_lost_go_out_with_what_they_have_or_are_cancelled(
    queued: None, clock: MovedClock
) -> None:
    lost, lasting, waits = pending(), pending(Lasting), pending()
    for one in (lost, lasting):
        end_job(delivery(one).carrier_id, "discarded")

    assert sorted(store.write(settle_lost_contents, clock.now(), 10)) == sorted([lost, lasting])
    assert (delivery(lost).status, delivery(lost).reason) == ("cancelled", "content_failed")
    assert delivery(lasting).orchestration_state == "ready"
    assert delivery(waits).orchestration_state == "content_pending"
