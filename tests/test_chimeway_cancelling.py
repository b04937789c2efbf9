from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pytest
from chimeway_notifiers import Both, Mention, MovedClock, Recorder, Welcome
from sqlalchemy import Engine, select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

import chimeway
import jobs
from aquila.errors import ConfigError
from chimeway import store
from chimeway.cancelling import BATCH, CANCEL_REQUESTED, Cancelled, acancel, cancel
from chimeway.dispatch.claiming import Claim, claim
from chimeway.errors import NotificationNotFound, TemporaryFailure
from chimeway.fanout import AT_ONCE, Chunk, plan_chunk
from chimeway.rows import get_delivery, get_run
from chimeway.tables import deliveries, fanouts, runs

pytest_plugins = ["job_fixtures", "chimeway_fixtures"]
pytestmark = pytest.mark.parametrize("place", ["sqlite", "postgresql"], indirect=True)


class Fallback(chimeway.Notifier):
    notification_key = "test.cancelling.fallback"
    email = chimeway.Content(text="first")
    in_app = chimeway.Content(text="second")
    workflow = chimeway.Workflow(
        "test.cancelling.fallback",
        version=1,
        steps=[
            chimeway.Deliver("email", channel="email", rules=[chimeway.On("*", to="in_app")]),
            chimeway.Deliver("in_app", channel="in_app"),
        ],
    )


def states(*where: Any) -> list[tuple[str, str | None, str | None]]:
    query = select(deliveries.c.status, deliveries.c.outcome, deliveries.c.reason).where(*where)
    return store.read(lambda c: [tuple(row) for row in c.execute(query.order_by(deliveries.c.channel))])  # type: ignore[misc]


def ids(many: Sequence[chimeway.Delivery]) -> list[str]:
    return sorted(one.delivery_id for one in many)


def run_of(done: chimeway.Triggered) -> chimeway.WorkflowRun:
    query = select(runs.c.id).where(runs.c.event_id == done.event.event_id)
    run_id = store.read(lambda c: c.execute(query).scalar_one())
    return store.read(get_run, run_id)


def test_a_key_takes_back_everything_that_has_it(queued: None) -> None:
    first = Both.trigger(["1", "2"], {"what": "x"}, cancellation_key="order-1")
    second = Welcome.trigger("3", {"name": "C"}, cancellation_key="order-1")
    Welcome.trigger("4", {"name": "D"}, cancellation_key="order-2")
    Welcome.trigger("5", {"name": "E"}, cancellation_key="order-1", tenant_id="acme")

    done = cancel(key="order-1", reason="order_withdrawn")

    assert sorted(done.deliveries) == ids([*first.deliveries, *second.deliveries])
    assert (done.runs, done.sending, done.chunks) == ((), (), 0)
    assert states(deliveries.c.id.in_(done.deliveries)) == [("cancelled", "cancelled", "order_withdrawn")] * 5
    assert states(deliveries.c.id.not_in(done.deliveries)) == [("pending", None, None)] * 2


def test_what_was_taken_back_is_never_sent(queued: None, clock: MovedClock) -> None:
    done = Welcome.trigger("1", {"name": "A"}, cancellation_key="k")
    cancel(key="k")

    got = store.write(claim, done.deliveries[0].delivery_id, clock.now(), lease=lambda _: 60.0)

    assert not isinstance(got, Claim)
    assert chimeway.sweep().total == 0


def test_a_second_time_takes_nothing_back(queued: None) -> None:
    Mention.trigger("1", {"who": "Bo"}, cancellation_key="k")
    assert cancel(key="k") != Cancelled()

    assert cancel(key="k") == Cancelled()
    assert cancel(key="never used") == Cancelled()


def test_what_was_delivered_stays_delivered(sync: None) -> None:
    done = Welcome.trigger("1", {"name": "A"}, cancellation_key="k")

    assert cancel(key="k") == Cancelled()
    assert cancel(delivery_id=done.deliveries[0].delivery_id) == Cancelled()
    assert states() == [("succeeded", "delivered", "delivered")]


@pytest.mark.parametrize("by", ["event_id", "notification_id", "key"])
def test_a_run_that_waits_is_stopped(sync: None, clock: MovedClock, email: Recorder, by: str) -> None:
    done = Mention.trigger("1", {"who": "Bo"}, cancellation_key="k")
    names = {
        "event_id": done.event.event_id,
        "notification_id": done.notifications[0].notification_id,
        "key": "k",
    }

    cancelled = cancel(**{by: names[by]}, reason="seen_elsewhere")

    run = run_of(done)
    assert cancelled.runs == (run.run_id,)
    assert (run.state, run.reason) == ("stopped", "seen_elsewhere")
    clock.advance(hours=3)
    chimeway.sweep()
    assert not email.sent


def test_the_delivery_of_a_stopped_run_is_told_once(queued: None) -> None:
    done = Mention.trigger("1", {"who": "Bo"}, cancellation_key="k")

    cancelled = cancel(key="k")

    assert list(cancelled.deliveries) == ids(done.deliveries)
    assert states() == [("cancelled", "cancelled", "cancelled")]
    assert run_of(done).state == "stopped"


def test_one_notification_leaves_those_of_others(queued: None) -> None:
    done = Both.trigger(["1", "2"], {"what": "x"})
    mine = next(one for one in done.notifications if one.recipient_identity == "1")

    cancelled = cancel(notification_id=mine.notification_id)

    assert sorted(cancelled.deliveries) == ids(
        [one for one in done.deliveries if one.notification_id == mine.notification_id]
    )
    assert len(cancelled.deliveries) == 2
    assert states(deliveries.c.recipient_identity == "2") == [("pending", None, None)] * 2


def test_one_delivery_lets_its_workflow_go_on_by_its_rules(queued: None) -> None:
    done = Fallback.trigger("1", {})

    cancelled = cancel(delivery_id=done.deliveries[0].delivery_id)

    assert cancelled.deliveries == (done.deliveries[0].delivery_id,)
    assert cancelled.runs == ()
    assert run_of(done).current_step_key == "in_app"
    assert states() == [("cancelled", "cancelled", "cancelled"), ("pending", None, None)]


def test_a_retry_is_taken_back(sync: None, email: Recorder, clock: MovedClock) -> None:
    email.errors.append(TemporaryFailure("busy"))
    Welcome.trigger("1", {"name": "A"}, cancellation_key="k")
    assert states() == [("failed", "temporary_failure", "temporary_failure")]

    cancel(key="k")

    clock.advance(hours=1)
    assert chimeway.sweep().total == 0
    assert states() == [("cancelled", "cancelled", "cancelled")]


def test_what_is_being_sent_is_named_and_left_to_end(queued: None, clock: MovedClock) -> None:
    delivery_id = Welcome.trigger("1", {"name": "A"}, cancellation_key="k").deliveries[0].delivery_id
    assert isinstance(store.write(claim, delivery_id, clock.now(), lease=lambda _: 60.0), Claim)

    assert cancel(key="k", reason="withdrawn") == Cancelled(sending=(delivery_id,))

    found = store.read(get_delivery, delivery_id)
    assert (found.status, found.reason, found.reason_context) == (
        "dispatched",
        CANCEL_REQUESTED,
        {"reason": "withdrawn"},
    )


def test_recipients_that_are_not_planned_never_are(queued: None, clock: MovedClock) -> None:
    many = [str(number) for number in range(AT_ONCE + 1)]
    event_id = Welcome.trigger(many, {"name": "A"}, cancellation_key="k").event.event_id

    assert cancel(key="k", reason="withdrawn") == Cancelled(chunks=1)

    assert not plan_chunk(Chunk(event_id, 0), clock.now()).notifications
    assert chimeway.sweep().chunks == 0
    row = store.read(lambda c: c.execute(select(fanouts)).one())
    assert row.error == "withdrawn"
    assert cancel(key="k") == Cancelled()


def test_planning_and_cancelling_at_once_leave_nothing_to_be_sent(queued: None, clock: MovedClock) -> None:
    many = [str(number) for number in range(AT_ONCE + 1)]
    event_id = Welcome.trigger(many, {"name": "A"}).event.event_id
    barrier = threading.Barrier(2)

    def plan() -> None:
        barrier.wait()
        plan_chunk(Chunk(event_id, 0), clock.now())

    thread = threading.Thread(target=plan)
    thread.start()
    barrier.wait()
    done = cancel(event_id=event_id)
    thread.join()

    assert done.chunks == 1 or len(done.deliveries) == len(many)
    assert not states(deliveries.c.status != "cancelled")


def test_more_than_a_batch_is_taken_back(queued: None) -> None:
    for number in range(3):
        Welcome.trigger([f"{number}-{one}" for one in range(BATCH // 2)], {"name": "A"}, cancellation_key="k")
    Mention.trigger([f"m-{one}" for one in range(BATCH)], {"who": "Bo"}, cancellation_key="k")

    done = cancel(key="k")

    assert len(done.runs) == BATCH
    assert len(set(done.deliveries)) == len(done.deliveries) == 3 * (BATCH // 2) + BATCH
    assert not states(deliveries.c.status != "cancelled")


def test_it_is_done_in_the_callers_transaction(queued: None, engine: Engine) -> None:
    with Session(engine) as session:
        Mention.trigger("1", {"who": "Bo"}, cancellation_key="k", session=session)
        assert len(cancel(key="k", session=session).runs) == 1
        session.commit()
    assert states() == [("cancelled", "cancelled", "cancelled")]

    Welcome.trigger("1", {"name": "A"}, cancellation_key="k2")
    with Session(engine) as session:
        cancel(key="k2", session=session)
        session.rollback()
    assert ("pending", None, None) in states()


async def test_the_asynchronous_form_does_the_same(queued: None) -> None:
    await Mention.atrigger("1", {"who": "Bo"}, cancellation_key="k")
    url = jobs.database_url().replace("sqlite:", "sqlite+aiosqlite:").replace("+psycopg:", "+psycopg_async:")
    made = create_async_engine(url)
    async with AsyncSession(made) as session:
        assert len((await acancel(key="k", session=session)).runs) == 1
        await session.rollback()
    await made.dispose()

    assert len((await acancel(key="k")).runs) == 1
    assert await acancel(key="k") == Cancelled()


def test_what_another_tenant_has_is_not_there(queued: None) -> None:
    done = Welcome.trigger("1", {"name": "A"})
    named = {
        "event_id": done.event.event_id,
        "notification_id": done.notifications[0].notification_id,
        "delivery_id": done.deliveries[0].delivery_id,
    }
    for name, value in named.items():
        with pytest.raises(NotificationNotFound, match=value):
            cancel(**{name: value}, tenant_id="acme")
        with pytest.raises(NotificationNotFound, match="unknown"):
            cancel(**{name: "unknown"})
    assert states() == [("pending", None, None)]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"key": "a", "event_id": "b"},
        {"key": ""},
        {"key": 7},
        {"key": "k", "reason": ""},
        {"key": "k", "reason": "x" * 101},
    ],
)
def test_what_cannot_be_meant_is_refused(queued: None, given: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        cancel(**given)


def test_a_delivery_that_is_claimed_at_that_moment_is_either_sent_or_taken_back(
    queued: None, clock: MovedClock
) -> None:
    many = [
        one.delivery_id
        for one in Welcome.trigger(
            [str(n) for n in range(10)], {"name": "A"}, cancellation_key="k"
        ).deliveries
    ]
    got: dict[str, object] = {}

    def claim_all() -> None:
        got.update(
            (one, store.write(claim, one, clock.now(), lease=lambda _: 60.0))
            for one in sorted(many, reverse=True)
        )

    thread = threading.Thread(target=claim_all)
    thread.start()
    done = cancel(key="k")
    thread.join()

    sent = {one for one, claimed in got.items() if isinstance(claimed, Claim)}
    assert set(done.deliveries) | sent == set(many)
    assert not set(done.deliveries) & sent
