from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import anyio
import pytest
from chimeway_notifiers import Both, Mention, MovedClock, Recorder, Welcome, told
from job_workers import Valkey, until, working
from sqlalchemy import select, update

import chimeway
from chimeway import store
from chimeway.dispatch.claiming import Claim, NotClaimed, claim
from chimeway.dispatch.performing import perform, perform_sync
from chimeway.errors import Bounced, PermanentFailure, TemporaryFailure
from chimeway.models import Attempt, Delivery
from chimeway.rows import attempts_of, get_delivery
from chimeway.sweeping import sweep, sweep_to_jobs
from chimeway.tables import deliveries
from chimeway.trigger import _run
from chimeway.trigger_checks import Keys
from jobs.tables import jobs as job_rows

pytest_plugins = ["job_fixtures", "chimeway_fixtures"]
pytestmark = pytest.mark.parametrize("place", ["sqlite", "postgresql"], indirect=True)


def now(delivery: chimeway.Delivery) -> Delivery:
    return store.read(get_delivery, delivery.delivery_id)


def attempts(delivery: chimeway.Delivery) -> list[Attempt]:
    return store.read(attempts_of, delivery.delivery_id)


def lease(_channel: str) -> float:
    return 60.0


def sent(name: str = "1") -> chimeway.Delivery:
    return Welcome.trigger(name, {"name": "A"}).deliveries[0]


async def test_a_worker_delivers_what_was_triggered(queued: None, email: Recorder) -> None:
    async with working():
        delivery = (await Welcome.atrigger("1", {"name": "Ada"})).deliveries[0]
        await until(lambda: email.sent)
        await until(lambda: now(delivery).status == "succeeded")

    assert [one.outcome for one in attempts(delivery)] == ["delivered"]
    assert now(delivery).provider_message_id == f"recorder-{delivery.delivery_id}"


def test_of_two_that_deliver_at_once_one_calls_the_adapter(queued: None, email: Recorder) -> None:
    planned = [sent(str(number)) for number in range(8)]
    both = threading.Barrier(2)

    def deliver(_number: int) -> list[object]:
        both.wait()
        return [perform_sync(one.delivery_id) for one in planned]

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(deliver, range(2)))

    assert set(email.calls.values()) == {1}
    assert len(email.sent) == 8


def test_a_lease_that_is_over_is_taken_over_and_the_lost_attempt_is_on_record(
    queued: None, email: Recorder, clock: MovedClock
) -> None:
    delivery = sent()
    first = store.write(claim, delivery.delivery_id, clock.now(), lease=lease)
    assert isinstance(first, Claim)
    clock.advance(seconds=59)
    early = perform_sync(delivery.delivery_id)
    assert isinstance(early, NotClaimed)
    assert early.reason == "dispatched"
    clock.advance(seconds=2)

    assert perform_sync(delivery.delivery_id) == "delivered"
    assert [(one.attempt_number, one.source, one.error_class) for one in attempts(delivery)] == [
        (1, "lost", "lease_expired"),
        (2, "send", None),
    ]
    assert email.sent[0].delivery_id == first.message.delivery_id


def test_an_answer_after_the_lease_is_kept_as_late_and_moves_nothing(
    queued: None, email: Recorder, clock: MovedClock
) -> None:
    delivery = sent()

    def take_over(_message: object) -> None:
        email.hook = None
        clock.advance(minutes=10)
        perform_sync(delivery.delivery_id)

    email.hook = take_over
    assert perform_sync(delivery.delivery_id) is None

    assert [(one.attempt_number, one.source) for one in attempts(delivery)] == [
        (1, "lost"),
        (2, "send"),
        (1, "late"),
    ]
    assert now(delivery).attempt_count == 2


@pytest.mark.parametrize(
    ("error", "outcome", "status"),
    [
        (TemporaryFailure("full"), "temporary_failure", "failed"),
        (PermanentFailure("refused"), "permanent_failure", "cancelled"),
        (Bounced("unknown"), "bounced", "cancelled"),
        (ValueError("odd"), "temporary_failure", "failed"),
    ],
)
def test_each_kind_of_failure_has_its_outcome(
    queued: None, email: Recorder, error: Exception, outcome: str, status: str
) -> None:
    email.errors = [error]
    delivery = sent()

    assert perform_sync(delivery.delivery_id) == outcome
    assert (now(delivery).status, now(delivery).outcome) == (status, outcome)
    assert (now(delivery).next_attempt_at is not None) == (status == "failed")


def test_retries_back_off_and_end(queued: None, email: Recorder, clock: MovedClock) -> None:
    email.errors = [TemporaryFailure("full")] * 9
    delivery = sent()
    waits: list[float] = []
    for _ in range(4):
        assert perform_sync(delivery.delivery_id) == "temporary_failure"
        again = now(delivery).next_attempt_at
        assert again is not None
        waits.append((again - clock.now()).total_seconds())
        assert isinstance(perform_sync(delivery.delivery_id), NotClaimed)
        clock.advance(seconds=waits[-1] + 1)

    assert perform_sync(delivery.delivery_id) == "retries_exhausted"
    assert [round(wait / 15) for wait in waits] == pytest.approx([1, 2, 4, 8], rel=0.3)
    assert now(delivery).status == "cancelled"
    assert [one.attempt_number for one in attempts(delivery)] == [1, 2, 3, 4, 5]
    assert isinstance(perform_sync(delivery.delivery_id), NotClaimed)


def test_a_provider_is_given_the_time_it_asks_for(queued: None, email: Recorder, clock: MovedClock) -> None:
    email.errors = [TemporaryFailure("busy", retry_after=600)]
    delivery = sent()
    perform_sync(delivery.delivery_id)

    again = now(delivery).next_attempt_at
    assert again is not None
    assert 590 < (again - clock.now()).total_seconds() < 610


def test_a_channel_without_an_adapter_is_told_and_tried_again(queued: None) -> None:
    with told(dispatcher="dramatiq"):
        delivery = sent()
        assert perform_sync(delivery.delivery_id) == "temporary_failure"

    assert attempts(delivery)[0].error_class == "no_adapter"
    assert "'email'" in (attempts(delivery)[0].error or "")


async def test_a_stopped_attempt_is_on_record_and_sent_again(queued: None, clock: MovedClock) -> None:
    class Slow:
        name = "slow"

        async def deliver(self, message: chimeway.OutgoingMessage) -> chimeway.Receipt:
            await anyio.sleep(60)
            return chimeway.Receipt()

    with told(dispatcher="dramatiq", channels={"email": Slow()}, clock=clock):
        delivery = sent()
        with anyio.move_on_after(0.2):
            await perform(delivery.delivery_id)

    assert now(delivery).status == "failed"
    assert attempts(delivery)[0].error_class == "interrupted"


async def test_the_system_heals_after_redis_was_emptied(
    queued: None, own_valkey: Valkey, email: Recorder
) -> None:
    planned = [sent(str(number)) for number in range(20)]
    own_valkey.client().flushall()

    async with working():
        await until(lambda: len(email.sent) == 20)
    assert {one.delivery_id for one in planned} == set(email.calls)


def test_the_sweep_gives_what_lost_its_job_to_another_and_two_sweeps_give_it_one(
    queued: None, email: Recorder, clock: MovedClock
) -> None:
    planned = [sent(str(number)) for number in range(30)]
    lose: Callable[[object], object] = lambda c: c.execute(update(job_rows).values(state="discarded"))  # type: ignore[attr-defined]  # noqa: E731
    store.write(lose)
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: sweep().deliveries, range(2)))

    assert sum(found) == 30
    waiting = store.read(
        lambda c: list(c.scalars(select(job_rows.c.id).where(job_rows.c.state == "available")))
    )
    assert sorted(waiting) == sorted(str(now(one).carrier_id) for one in planned)
    assert sweep().total == 0


def test_what_a_crashed_process_did_not_send_itself_the_sweep_sends(
    sync: None, email: Recorder, clock: MovedClock
) -> None:
    order = Welcome._order("1", {"name": "A"}, Keys("default", None, None, None), "return")
    # The process dies between its commit and the first call.
    delivery = store.write(_run, order, clock.now(), here=True, session=None).triggered.deliveries[0]
    assert sweep().total == 0
    clock.advance(minutes=2)

    assert sweep().deliveries == 1
    assert now(delivery).status == "succeeded"
    assert len(email.sent) == 1


def test_workers_take_over_what_a_crashed_process_did_not_send_itself(sync: None, clock: MovedClock) -> None:
    order = Welcome._order("1", {"name": "A"}, Keys("default", None, None, None), "return")
    delivery = store.write(_run, order, clock.now(), here=True, session=None).triggered.deliveries[0]
    assert sweep_to_jobs().deliveries == 0
    clock.advance(minutes=2)

    assert sweep_to_jobs().deliveries == 1
    assert now(delivery).carrier_id is not None


def test_nothing_moves_when_the_clock_jumps_back(queued: None, email: Recorder, clock: MovedClock) -> None:
    email.errors = [TemporaryFailure("full")]
    delivery = sent()
    perform_sync(delivery.delivery_id)
    clock.advance(days=-2)
    assert sweep().deliveries == 0
    assert isinstance(perform_sync(delivery.delivery_id), NotClaimed)
    clock.advance(days=2, minutes=1)

    assert perform_sync(delivery.delivery_id) == "delivered"


async def test_the_limit_of_the_delivery_queue_holds(queued: None, clock: MovedClock) -> None:
    running, most = 0, 0
    full = anyio.Event()

    class Counting:
        name = "counting"

        async def deliver(self, message: chimeway.OutgoingMessage) -> chimeway.Receipt:
            nonlocal running, most
            running += 1
            most = max(most, running)
            if running == 20:
                # A moment in which another one would come.
                await anyio.sleep(0.3)
                full.set()
            with anyio.move_on_after(20):
                await full.wait()
            running -= 1
            return chimeway.Receipt()

    with told(dispatcher="dramatiq", channels={"email": Counting()}, clock=clock):
        async with working() as lines:
            await Both.atrigger([str(number) for number in range(30)], {"what": "x"})
            await until(lambda: _all_sent(60))

    assert most == 20
    assert "chimeway_delivery=20 chimeway_signals=10 chimeway_workflows=5" in lines[0]


def _all_sent(count: int) -> bool:
    query = select(deliveries.c.id).where(deliveries.c.status == "succeeded")
    return len(store.read(lambda c: list(c.scalars(query)))) == count


def test_a_workflow_plans_one_step_at_a_time_and_the_same_channel_twice(
    sync: None, email: Recorder, clock: MovedClock
) -> None:
    done = Mention.trigger("1", {"who": "Bo"})
    assert [(one.channel, one.step_key, one.status) for one in done.deliveries] == [
        ("in_app", "inbox", "succeeded")
    ]
    clock.advance(hours=2, seconds=1)
    assert sweep().waits == 1
    clock.advance(hours=1, seconds=1)
    assert sweep().waits == 1

    assert [message.content.subject for message in email.sent] == ["Bo mentioned you", "Bo still waits"]


def test_what_is_cancelled_while_it_is_sent_is_not_sent_again(
    queued: None, email: Recorder, clock: MovedClock
) -> None:
    email.errors = [TemporaryFailure("full")]
    delivery = sent()
    email.hook = lambda _message: chimeway.cancel(delivery_id=delivery.delivery_id, reason="no_longer")

    assert perform_sync(delivery.delivery_id) == "cancelled"
    assert (now(delivery).status, now(delivery).reason) == ("cancelled", "no_longer")


def test_what_is_cancelled_while_its_worker_dies_is_not_sent_again(
    queued: None, email: Recorder, clock: MovedClock
) -> None:
    delivery = sent()
    assert isinstance(store.write(claim, delivery.delivery_id, clock.now(), lease=lease), Claim)
    chimeway.cancel(delivery_id=delivery.delivery_id, reason="no_longer")
    clock.advance(minutes=5)

    assert isinstance(perform_sync(delivery.delivery_id), NotClaimed)
    assert (now(delivery).status, now(delivery).reason) == ("cancelled", "no_longer")
    assert not email.calls


def test_a_late_success_ends_the_retries(queued: None, email: Recorder, clock: MovedClock) -> None:
    delivery = sent()

    def take_over(_message: object) -> None:
        email.hook = None
        clock.advance(minutes=10)
        email.errors = [TemporaryFailure("full")]
        assert perform_sync(delivery.delivery_id) == "temporary_failure"

    email.hook = take_over
    assert perform_sync(delivery.delivery_id) is None
    clock.advance(minutes=10)

    assert (now(delivery).status, now(delivery).outcome) == ("succeeded", "delivered")
    assert isinstance(perform_sync(delivery.delivery_id), NotClaimed)
