from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from chimeway_explained import (
    ADDRESS,
    SECRET,
    Digested,
    Escalating,
    Note,
    Once,
    Stand,
    Throttled,
    Unread,
    Written,
    a_stand,
    end_job,
    lose_job,
    quiet,
)
from sqlalchemy import Engine
from sqlalchemy.orm import Session

import jobs
from chimeway import store
from chimeway.cancelling import cancel
from chimeway.digesting import flush
from chimeway.dispatch.performing import perform_sync
from chimeway.errors import Bounced, NotificationNotFound, PermanentFailure, TemporaryFailure
from chimeway.explain import Explanation, aexplain_delivery, explain_delivery
from chimeway.in_app.marks import mark_read
from chimeway.recipients.limits import set_delivery_cap
from chimeway.recipients.preferences import set_preference
from chimeway.writing.results import fail_content, keep_content

pytest_plugins = ["job_fixtures", "chimeway_fixtures"]
BOTH = pytest.mark.parametrize("place", ["sqlite", "postgresql"], indirect=True)


@dataclass(frozen=True)
class Case:
    make: Callable[[Stand], str]
    status: str
    reason: str
    #: What the summary says.
    says: tuple[str, ...]
    #: What the remedy names; None: there is none.
    remedy: str | None


CASES: list[Case] = []


def case(status: str, reason: str, *says: str, remedy: str | None = None) -> Any:
    def add(make: Callable[[Stand], str]) -> Callable[[Stand], str]:
        CASES.append(Case(make, status, reason, says, remedy))
        return make

    return add


@case(
    "pending",
    "no_worker",
    "not sent yet: its job",
    "no worker serves this database",
    remedy="aquila worker MODULE",
)
def no_worker_runs(stand: Stand) -> str:
    return stand.sent()


@case("pending", "queue_not_served", "no worker serves the queue 'chimeway_delivery'", remedy="--queues")
def workers_serve_other_queues(stand: Stand) -> str:
    with stand.worker("default"):
        return stand.sent()


@case(
    "pending", "queue_paused", "the queue 'chimeway_delivery' is paused since", remedy="aquila queues resume"
)
def the_queue_is_paused(stand: Stand) -> str:
    return stand.sent()


@case("pending", "queued", "waits for its turn in 'chimeway_delivery'")
def it_waits_for_its_turn(stand: Stand) -> str:
    return stand.sent()


@case("pending", "carrier_missing", "its job is gone; the next sweep gives it to another job")
def its_job_is_gone(stand: Stand) -> str:
    delivery_id = stand.sent()
    lose_job(stand.now(delivery_id).carrier_id)
    return delivery_id


@case("pending", "carrier_ended", "was discarded with WorkerLost and left it undone; the next sweep")
def its_job_has_ended(stand: Stand) -> str:
    delivery_id = stand.sent()
    end_job(stand.now(delivery_id).carrier_id)
    return delivery_id


@case(
    "pending",
    "no_worker",
    "its job is gone, and the sweep that takes it up does not run: no worker",
    remedy="aquila worker",
)
def its_job_is_gone_and_nobody_sweeps(stand: Stand) -> str:
    return its_job_is_gone(stand)


@case(
    "pending",
    "with_its_process",
    "the process that triggered it is to deliver it and has not done so yet; from",
)
def its_own_process_has_not_got_to_it(stand: Stand) -> str:
    return stand.left_by_its_process()


@case("pending", "left_by_its_process", "has not delivered it; the next sweep has it sent")
def its_own_process_is_gone(stand: Stand) -> str:
    delivery_id = stand.left_by_its_process()
    stand.clock.advance(minutes=2)
    return delivery_id


@case("dispatched", "being_sent", "being sent: attempt 1 of 5 began at", "which has until")
def it_is_being_sent(stand: Stand) -> str:
    return stand.claimed(stand.sent())


@case("dispatched", "being_sent", "it was cancelled meanwhile, and is not sent once more")
def it_is_being_sent_and_was_cancelled(stand: Stand) -> str:
    delivery_id = it_is_being_sent(stand)
    assert cancel(delivery_id=delivery_id).sending == (delivery_id,)
    return delivery_id


@case(
    "dispatched",
    "lease_expired",
    "its worker was gone by",
    "nobody knows whether it was sent",
    "the next sweep",
)
def its_worker_died(stand: Stand) -> str:
    delivery_id = it_is_being_sent(stand)
    lose_job(stand.now(delivery_id).carrier_id)
    stand.clock.advance(minutes=5)
    return delivery_id


@case(
    "dispatched",
    "lease_expired",
    "it was cancelled meanwhile, and is ended as cancelled: its job is gone; the next sweep",
)
def it_was_cancelled_and_its_worker_died(stand: Stand) -> str:
    delivery_id = it_is_being_sent_and_was_cancelled(stand)
    lose_job(stand.now(delivery_id).carrier_id)
    stand.clock.advance(minutes=5)
    return delivery_id


@case("failed", "retry_later", "retry 3 of 5 at", "(in ", "the box is full")
def it_is_tried_again(stand: Stand) -> str:
    delivery_id = stand.tried(TemporaryFailure("the box is full"))
    stand.email.errors = [TemporaryFailure("the box is full")]
    perform_sync(delivery_id)
    return delivery_id


@case(
    "failed",
    "retry_later",
    "retry 2 of 5",
    "as it is, no worker serves this database",
    remedy="aquila worker MODULE",
)
def it_is_tried_again_but_nobody_is_there(stand: Stand) -> str:
    delivery_id = stand.sent()
    stand.email.errors = [TemporaryFailure("the box is full")]
    perform_sync(delivery_id)
    return delivery_id


@case("failed", "queued", "retry 2 of 5 is due", "the last attempt: the box is full")
def a_retry_is_due(stand: Stand) -> str:
    return stand.tried(TemporaryFailure("the box is full"))


@case(
    "failed",
    "retry_later",
    "no adapter for the channel 'email'",
    remedy="chimeway.configure(channels={'email': ...})",
)
def no_adapter(stand: Stand) -> str:
    delivery_id = stand.sent()
    with a_stand(channels={}, clock=stand.clock):
        perform_sync(delivery_id)
    return delivery_id


@case(
    "cancelled",
    "retries_exhausted",
    "given up at",
    "after 1 attempts; the last: the box is full",
    remedy="aquila notify retry",
)
def its_attempts_are_used_up(stand: Stand) -> str:
    return stand.tried(TemporaryFailure("the box is full"), notifier=Once)


@case(
    "cancelled", "retries_exhausted", "the last: the process that sent it ended", remedy="aquila notify retry"
)
def its_last_worker_died(stand: Stand) -> str:
    delivery_id = stand.claimed(stand.sent(Once))
    stand.clock.advance(minutes=5)
    perform_sync(delivery_id)
    return delivery_id


@case("cancelled", "permanent_failure", "refused at", "in attempt 1: forbidden", remedy="aquila notify retry")
def it_is_refused(stand: Stand) -> str:
    return stand.tried(PermanentFailure("forbidden"))


@case("cancelled", "bounced", "bounced at", "in attempt 1: no such mailbox", remedy="correct it")
def it_bounces(stand: Stand) -> str:
    return stand.tried(Bounced("no such mailbox"))


@case("cancelled", "bounced", "taken by provider at", "and bounced later", remedy="correct it")
def it_bounces_late(stand: Stand) -> str:
    delivery_id = stand.tried()
    stand.says(delivery_id, "bounced")
    return delivery_id


@case("succeeded", "delivered", "delivered by provider at", "in attempt 1")
def it_arrives(stand: Stand) -> str:
    return stand.tried()


@case("succeeded", "delivered", "the provider has confirmed it")
def it_arrives_and_is_confirmed(stand: Stand) -> str:
    delivery_id = stand.tried()
    stand.says(delivery_id, "delivered")
    return delivery_id


@case(
    "suppressed",
    "channel_disabled",
    "the recipient does not want anything by email (when it was planned,",
    remedy="chimeway.set_preference('muted', True, channel='email')",
)
def the_channel_is_off(stand: Stand) -> str:
    set_preference("muted", False, channel="email")
    return stand.sent(who="muted")


@case(
    "suppressed",
    "channel_disabled",
    "does not want 'explained.note' on any channel (as it was about to be sent,",
    remedy="set_preference",
)
def the_key_is_off_by_the_time_it_is_sent(stand: Stand) -> str:
    delivery_id = stand.sent(who="picky")
    set_preference("picky", False, notification_key="explained.note")
    perform_sync(delivery_id)
    return delivery_id


@case("suppressed", "category_disabled", "does not want the category 'news'", remedy="category='news'")
def the_category_is_off(stand: Stand) -> str:
    set_preference("serious", False, category="news")
    return stand.sent(who="serious")


@case("suppressed", "throttled", "throttle lets 1 through in 60 min, and 1 came before it", remedy="throttle")
def it_is_throttled(stand: Stand) -> str:
    stand.sent(Throttled, who="often")
    return stand.sent(Throttled, who="often")


@case(
    "suppressed",
    "delivery_cap_reached",
    "takes 1 delivery in 24 h, and 1 came before it",
    remedy="chimeway.set_delivery_cap('calm', COUNT, SECONDS)",
)
def the_cap_is_reached(stand: Stand) -> str:
    set_delivery_cap("calm", 1, 86_400)
    stand.sent(who="calm")
    return stand.sent(who="calm")


@case("suppressed", "already_read", "the notification had been read at")
def it_was_read_by_then(stand: Stand) -> str:
    planned = Unread.trigger(stand.recipient("reader"), {"word": SECRET}).deliveries
    by = {one.channel: one.delivery_id for one in planned}
    perform_sync(by["in_app"])
    mark_read("reader", planned[0].notification_id)
    perform_sync(by["email"])
    return by["email"]


@case(
    "suppressed", "cancelled_by_signal", "the signal 'chimeway.notification.read' came first and took it back"
)
def a_signal_takes_it_back(stand: Stand) -> str:
    run_id = stand.escalated("signaller")
    delivery_id = stand.steps(run_id)["email"]
    mark_read("signaller", stand.now(delivery_id).notification_id)
    perform_sync(delivery_id)
    return delivery_id


@case(
    "suppressed",
    "no_address",
    "nobody knows the recipient's address for email",
    remedy="addresses={'email': ...}",
)
def nobody_knows_the_address(stand: Stand) -> str:
    stand.email.needs_address = True  # type: ignore[attr-defined]
    delivery_id = Note.trigger("homeless", {"word": SECRET}).deliveries[0].delivery_id
    perform_sync(delivery_id)
    return delivery_id


@case("pending", "quiet_hours", "deferred by the recipient's quiet hours", "in UTC); it goes at")
def it_is_quiet(stand: Stand) -> str:
    return deferred(stand, "sleeper")


def deferred(stand: Stand, who: str) -> str:
    quiet(stand, who)
    return stand.sent(who=who)


@case("pending", "queued", "deferred by the recipient's quiet hours", "were over at")
def it_was_quiet(stand: Stand) -> str:
    delivery_id = deferred(stand, "riser")
    stand.clock.advance(hours=2)
    return delivery_id


@case("failed", "quiet_hours", "deferred by the recipient's quiet hours")
def a_retry_falls_into_quiet_hours(stand: Stand) -> str:
    delivery_id = stand.tried(TemporaryFailure("full"), who="napper")
    quiet(stand, "napper")
    perform_sync(delivery_id)
    return delivery_id


@case("pending", "digest_held", "held for a digest that goes at")
def it_is_held(stand: Stand) -> str:
    return stand.sent(Digested)


@case("pending", "digest_due", "held for a digest that was due at")
def its_digest_is_late(stand: Stand) -> str:
    delivery_id = stand.sent(Digested)
    stand.clock.advance(hours=1)
    return delivery_id


@case("digested", "digested", "it went into a digest at", "stands for it", remedy="aquila notify explain")
def it_went_into_a_digest(stand: Stand) -> str:
    first, _ = (stand.sent(Digested, who="gatherer") for _ in range(2))
    bucket = stand.now(first).digest_bucket_id
    stand.clock.advance(hours=1)
    assert store.write(flush, bucket, stand.clock.now()).digested == 2
    return first


@case("pending", "content_pending", "a model is to write its text; its job", "waits for its turn in 'llm'")
def its_text_is_to_be_written(stand: Stand) -> str:
    return stand.sent(Written)


@case("pending", "content_pending", "was discarded with WorkerLost", remedy="aquila jobs show")
def its_writer_is_gone(stand: Stand) -> str:
    delivery_id = stand.sent(Written)
    end_job(stand.now(delivery_id).carrier_id)
    return delivery_id


@case("pending", "queued", "not sent yet: its job")
def its_text_is_written(stand: Stand) -> str:
    delivery_id = stand.sent(Written)
    assert store.write(keep_content, "the text", stand.clock.now(), delivery_id=delivery_id)
    return delivery_id


@case(
    "cancelled",
    "content_failed",
    "no text could be written for it: the model is away",
    remedy="aquila notify retry",
)
def no_text_could_be_written(stand: Stand) -> str:
    delivery_id = stand.sent(Written)
    assert store.write(fail_content, "the model is away", stand.clock.now(), delivery_id=delivery_id)
    return delivery_id


@case(
    "cancelled",
    "cancelled",
    "taken back at",
    "before it was sent: order_withdrawn (its trigger has a cancellation key)",
)
def it_is_cancelled_by_its_key(stand: Stand) -> str:
    done = Note.trigger(stand.recipient(), {"word": SECRET}, cancellation_key="order-7")
    cancel(key="order-7", reason="order_withdrawn")
    return done.deliveries[0].delivery_id


@case("cancelled", "run_stopped", "taken back with its workflow run at", "no_longer_needed")
def its_run_is_stopped(stand: Stand) -> str:
    delivery_id = stand.sent(Escalating)
    cancel(notification_id=stand.now(delivery_id).notification_id, reason="no_longer_needed")
    return delivery_id


@case(
    "pending",
    "no_worker",
    "has not delivered it, and the sweep that takes it up does not run",
    remedy="or call chimeway.sweep()",
)
def its_own_process_is_gone_and_nobody_sweeps(stand: Stand) -> str:
    return its_own_process_is_gone(stand)


#: States that look otherwise with workers that serve the queues, and those that need another company.
WITHOUT_WORKERS = {
    no_worker_runs,
    its_job_is_gone_and_nobody_sweeps,
    its_own_process_is_gone_and_nobody_sweeps,
    it_is_tried_again_but_nobody_is_there,
}


@BOTH
def test_every_state_is_told_with_its_reason_and_what_helps(place: None) -> None:
    """One database for all of them, so that what one recipient has is seen not to be another's."""
    wrong: list[str] = []
    for one in CASES:
        with a_stand() as stand:
            said = explained(stand, one)
            wrong += [f"{one.make.__name__}: {what}" for what in differences(one, said)]
    assert wrong == []


def explained(stand: Stand, one: Case) -> Explanation:
    if one.make in WITHOUT_WORKERS:
        return explain_delivery(one.make(stand))
    if one.make is workers_serve_other_queues:
        with stand.worker("default"):
            return explain_delivery(stand.sent())
    with stand.all_queues():
        if one.make is not the_queue_is_paused:
            return explain_delivery(one.make(stand))
        jobs.pause_queue("chimeway_delivery")
        try:
            return explain_delivery(one.make(stand))
        finally:
            jobs.resume_queue("chimeway_delivery")


def differences(wanted: Case, said: Explanation) -> list[str]:
    found = []
    if (said.state, said.reason) != (wanted.status, wanted.reason):
        found.append(f"{said.state}, {said.reason}: {said.summary}")
    found += [f"no {words!r} in {said.summary!r}" for words in wanted.says if words not in said.summary]
    if (said.remedy is None) != (wanted.remedy is None) or (wanted.remedy or "") not in (said.remedy or ""):
        found.append(f"the remedy is {said.remedy!r}")
    told = json.dumps(said.to_dict())
    found += [f"{private!r} is told: {told}" for private in (SECRET, ADDRESS) if private in told]
    moments = [entry.at for entry in said.timeline]
    if moments != sorted(moments):
        found.append(f"out of order: {said.timeline}")
    return found


@pytest.fixture
def stand(place: None) -> Iterator[Stand]:
    with a_stand() as made:
        yield made


def told(said: Explanation) -> list[str]:
    return [entry.what for entry in said.timeline]


def test_an_id_that_is_not_there_or_another_tenants_is_not_found(stand: Stand) -> None:
    delivery_id = stand.sent()
    assert explain_delivery(delivery_id, "default").explained_id == delivery_id

    with pytest.raises(
        NotificationNotFound, match="no delivery 'none' in this database; was its transaction rolled back"
    ):
        explain_delivery("none")
    with pytest.raises(NotificationNotFound, match="in the tenant 'acme'"):
        explain_delivery(delivery_id, "acme")


async def test_it_is_told_in_the_callers_transaction_and_not_after_its_rollback(
    stand: Stand, engine: Engine
) -> None:
    with Session(engine) as session:
        done = Note.trigger(stand.recipient(), {"word": SECRET}, session=session)
        delivery_id = done.deliveries[0].delivery_id
        assert explain_delivery(delivery_id, session=session).state == "pending"
        session.rollback()

    with pytest.raises(NotificationNotFound, match="rolled back"):
        await aexplain_delivery(delivery_id)


def test_late_and_lost_attempts_and_what_providers_say_are_told_as_what_they_are(stand: Stand) -> None:
    delivery_id = stand.sent()

    def take_over(_message: object) -> None:
        stand.email.hook = None
        stand.clock.advance(minutes=10)
        perform_sync(delivery_id)

    stand.email.hook = take_over
    perform_sync(delivery_id)
    stand.clock.advance(minutes=1)
    stand.says(delivery_id, "delivered")
    stand.clock.advance(minutes=1)
    stand.says(delivery_id, "bounced")
    stand.clock.advance(minutes=1)
    stand.says(delivery_id, "delivered")

    said = explain_delivery(delivery_id)

    assert told(said) == [
        "event_created",
        "notification_created",
        "delivery_planned",
        "attempt_began",
        "attempt_lost",
        "attempt_recorded",
        "attempt_late",
        "webhook_received",
        "webhook_received",
        "delivery_cancelled",
        "webhook_received",
        "webhook_ignored",
    ]
    assert (
        said.timeline[6].detail
        == "attempt 1 by email with provider answered after its lease, and moved nothing: delivered"
    )
    assert said.timeline[8].detail == "provider says of attempt 2 by email: bounced"
    assert "it changed nothing: already_ended" in said.timeline[-1].detail
    assert {entry.source for entry in said.timeline} == {
        "event",
        "notification",
        "delivery",
        "attempt",
        "provider",
    }


def test_what_is_told_can_be_written_as_json(stand: Stand) -> None:
    said = explain_delivery(stand.tried(TemporaryFailure("full"))).to_dict()

    assert json.loads(json.dumps(said)) == said
    assert said["facts"]["attempt_count"] == 1
    assert said["facts"]["next_attempt_at"]
    assert said["timeline"][0]["what"] == "event_created"
