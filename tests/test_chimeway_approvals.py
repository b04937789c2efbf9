from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from chimeway_notifiers import MovedClock, Recorder
from sqlalchemy import Engine, func, select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

import chimeway
import jobs
from aquila.errors import ConfigError
from chimeway import store
from chimeway.approvals.deciding import Approval
from chimeway.approvals.giving import aapprove, approve, areject, reject
from chimeway.approvals.waiting import apending_approvals, pending_approvals
from chimeway.content import Content
from chimeway.dispatch.performing import perform_sync
from chimeway.engine.ending import cancel_run
from chimeway.engine.progress import progress_run
from chimeway.engine.router import route_signal
from chimeway.models import WorkflowRun
from chimeway.rows import get_run
from chimeway.tables import deliveries, runs, signals, step_outputs
from chimeway.writing.results import keep_step

pytest_plugins = ["job_fixtures", "chimeway_fixtures"]

BOTH = pytest.mark.parametrize("place", ["sqlite", "postgresql"], indirect=True)


class Checked(chimeway.Notifier):
    notification_key = "test.approvals.checked"
    draft = Content(prompt="Draft.")
    email = Content(subject="s", text_from="check")
    workflow = chimeway.Workflow(
        "test.approvals.checked",
        steps=[
            chimeway.Ask("draft", rules=[chimeway.On("written", to="check")]),
            chimeway.Approve(
                "check",
                of="draft",
                within=3600,
                rules=[
                    chimeway.On("approved", to="email"),
                    chimeway.Stop("rejected"),
                    chimeway.Stop("expired"),
                ],
            ),
            chimeway.Deliver("email", channel="email"),
        ],
    )


class Twice(chimeway.Notifier):
    notification_key = "test.approvals.twice"
    draft = Content(prompt="Draft.")
    workflow = chimeway.Workflow(
        "test.approvals.twice",
        steps=[
            chimeway.Ask("draft", rules=[chimeway.On("written", to="editor")]),
            chimeway.Approve("editor", of="draft", rules=[chimeway.On("approved", to="lawyer")]),
            chimeway.Approve("lawyer", of="draft"),
        ],
    )


def waiting(notifier: type[chimeway.Notifier] = Checked, **more: Any) -> str:
    """A run that waits for a person."""
    run_id = drafting(notifier, **more)
    store.write(keep_step, "The draft.", MovedClock().now(), run_id=run_id, step_key="draft")
    return run_id


def drafting(notifier: type[chimeway.Notifier] = Checked, **more: Any) -> str:
    about = notifier.trigger("ada", **more).notifications[0]
    query = select(runs.c.id).where(runs.c.notification_id == about.notification_id)
    return store.read(lambda connection: connection.execute(query).scalar_one())


def run(run_id: str) -> WorkflowRun:
    return store.read(get_run, run_id)


def routed() -> None:
    """Bring every signal to its runs, as workers do."""
    query = select(signals.c.id).where(signals.c.processed_at.is_(None))
    for one in store.read(lambda connection: connection.scalars(query).all()):
        store.write(route_signal, one, MovedClock().now())


def count() -> int:
    query = select(func.count()).select_from(signals)
    return store.read(lambda connection: connection.execute(query).scalar_one())


def sent(run_id: str) -> None:
    query = select(deliveries.c.id).where(deliveries.c.run_id == run_id)
    for one in store.read(lambda connection: connection.scalars(query).all()):
        perform_sync(one)


@BOTH
def test_what_is_approved_goes_on(queued: None, email: Recorder) -> None:
    run_id = waiting()
    done = approve(run_id, by=7, note="Fine.")
    routed()
    sent(run_id)

    assert (done.run_id, done.step_key, done.decision, done.by) == (run_id, "check", "approved", "7")
    assert done.note == "Fine."
    assert email.texts == ["The draft."]
    assert run(run_id).state == "completed"


@BOTH
def test_what_no_database_holds_does_not_come_between_a_decision_and_its_run(
    queued: None, email: Recorder
) -> None:
    run_id = waiting()
    done = approve(run_id, by="bo", note="a\x00b\ud800", text="A\x00 better draft.")
    routed()
    sent(run_id)

    assert done.note == "a\ufffdb\ufffd"
    assert approve(run_id, by="bo") == done
    assert email.texts == ["A\ufffd better draft."]
    assert run(run_id).state == "completed"
    with pytest.raises(chimeway.NotificationNotFound):
        approve("no\x00run", by="bo")
    assert pending_approvals("no\x00tenant") == []


@BOTH
def test_what_is_rejected_goes_by_the_rules_for_that(queued: None) -> None:
    run_id = waiting()
    reject(run_id, by="bo")
    routed()

    assert (run(run_id).state, run(run_id).reason) == ("stopped", "workflow_stopped:rejected")


@BOTH
def test_what_the_reviewer_changed_is_sent_and_the_model_s_own_text_is_kept(
    queued: None, email: Recorder
) -> None:
    run_id = waiting()
    approve(run_id, by="bo", text="A better draft.")
    routed()
    sent(run_id)

    assert email.texts == ["A better draft."]
    mine = select(step_outputs.c.step_key, step_outputs.c.output).where(step_outputs.c.run_id == run_id)
    kept = dict(tuple(row) for row in store.read(lambda c: c.execute(mine).all()))
    assert kept == {"draft": "The draft.", "check": "A better draft."}


@BOTH
def test_of_two_who_decide_at_once_the_first_wins_and_the_other_is_told(queued: None) -> None:
    run_id = waiting()
    both = threading.Barrier(2)

    def decide(who: str) -> Approval | chimeway.ChimewayError:
        both.wait()
        try:
            return approve(run_id, by=who) if who == "bo" else reject(run_id, by=who)
        except chimeway.ChimewayError as error:
            return error

    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(decide, ["bo", "cy"]))

    (won,) = [one for one in done if isinstance(one, Approval)]
    (lost,) = [one for one in done if isinstance(one, chimeway.ChimewayError)]
    assert f"'check' was {won.decision} by {won.by!r} at " in str(lost)
    assert count() == 1


def test_a_second_click_of_the_same_person_gives_the_first_decision(queued: None) -> None:
    run_id = waiting()
    first = approve(run_id, by="bo")

    assert approve(run_id, by="bo") == first
    routed()
    assert approve(run_id, by="bo") == first
    assert count() == 1
    with pytest.raises(chimeway.ChimewayError, match="was approved by 'bo'"):
        reject(run_id, by="bo")


@BOTH
def test_a_decision_is_taken_back_with_the_caller_s_transaction(queued: None, engine: Engine) -> None:
    run_id = waiting()
    with Session(engine) as session:
        approve(run_id, by="bo", session=session)
        session.rollback()
    assert count() == 0

    with Session(engine) as session, session.begin():
        reject(run_id, by="bo", session=session)
    assert count() == 1


async def test_asynchronous_sessions_decide_as_well(queued: None) -> None:
    url = jobs.database_url().replace("sqlite:", "sqlite+aiosqlite:")
    engine = create_async_engine(url)
    first, second, third = waiting(), waiting(), waiting()
    async with AsyncSession(engine) as session:
        await aapprove(first, by="bo", session=session)
        await areject(second, by="bo", session=session)
        await session.commit()
    await engine.dispose()

    assert [one.run_id for one in await apending_approvals()] == [third]


def test_who_decides_too_late_is_told_why(queued: None, clock: MovedClock) -> None:
    early, late, ended = drafting(), waiting(), waiting()
    with pytest.raises(
        chimeway.ChimewayError, match="stands at the step 'draft', which waits for no approval"
    ):
        approve(early, by="bo")
    store.write(cancel_run, ended, "cancelled", clock.now())
    with pytest.raises(chimeway.ChimewayError, match=r"is stopped \(cancelled\) and waits for no approval"):
        approve(ended, by="bo")
    clock.advance(hours=2)
    with pytest.raises(chimeway.ChimewayError, match="the approval 'check' expired at"):
        approve(late, by="bo")
    store.write(progress_run, late, clock.now())
    with pytest.raises(chimeway.ChimewayError, match=r"is stopped \(workflow_stopped:expired\)"):
        approve(late, by="bo")
    assert count() == 0


def test_no_run_and_another_tenant_s_are_not_found(queued: None) -> None:
    run_id = waiting(tenant_id="theirs")
    for which, tenant in (("0" * 32, None), (run_id, "ours")):
        with pytest.raises(chimeway.NotificationNotFound, match=which):
            approve(which, by="bo", tenant_id=tenant)
    approve(run_id, by="bo", tenant_id="theirs")


def test_a_click_that_is_meant_for_one_step_does_not_decide_the_next(queued: None) -> None:
    run_id = waiting(Twice)
    approve(run_id, by="bo", step_key="editor")
    routed()

    assert run(run_id).current_step_key == "lawyer"
    assert approve(run_id, by="bo", step_key="editor").step_key == "editor"
    with pytest.raises(chimeway.ChimewayError, match="'editor' was approved by 'bo'"):
        reject(run_id, by="cy", step_key="editor")
    with pytest.raises(chimeway.ChimewayError, match="waits for no approval 'other'"):
        approve(run_id, by="bo", step_key="other")
    assert [one.step_key for one in pending_approvals()] == ["lawyer"]


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"by": None}, "by"),
        ({"by": " "}, "by"),
        ({"by": "bo", "text": " "}, "text"),
        ({"by": "bo", "note": 7}, "note"),
    ],
)
def test_what_is_no_decision_is_refused(queued: None, values: dict[str, Any], word: str) -> None:
    with pytest.raises(chimeway.NotifierInvalid, match=word):
        approve("run", **values)


@BOTH
def test_what_waits_for_a_person_is_listed_with_what_is_to_be_read(queued: None, clock: MovedClock) -> None:
    drafting()
    first, theirs, decided = waiting(), waiting(tenant_id="theirs"), waiting()
    approve(decided, by="bo")

    found = pending_approvals()

    assert [one.run_id for one in found] == [first, theirs]
    assert (found[0].step_key, found[0].of, found[0].text) == ("check", "draft", "The draft.")
    assert (found[0].workflow_key, found[0].recipient_identity) == ("test.approvals.checked", "ada")
    assert found[0].expires_at == run(first).due_at
    assert [one.run_id for one in pending_approvals("theirs")] == [theirs]
    assert len(pending_approvals(limit=1)) == 1
    clock.advance(hours=2)
    assert pending_approvals() == []


@pytest.mark.parametrize("limit", [0, True, "5", 1001])
def test_a_limit_that_is_none_is_refused(queued: None, limit: Any) -> None:
    with pytest.raises(ConfigError, match="limit="):
        pending_approvals(limit=limit)
