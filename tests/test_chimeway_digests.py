from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from chimeway_notifiers import Recorder, told
from sqlalchemy import Engine, select, update

import chimeway
import jobs
from chimeway import store
from chimeway.buckets import ToHold, hold_all
from chimeway.content import Content
from chimeway.digest_content import LONGEST_ITEM, MOST_LISTED, digest_content
from chimeway.digesting import Flushed, flush, flush_digest
from chimeway.dispatch.performing import perform_sync
from chimeway.engine.progress import progress_run
from chimeway.models import Delivery
from chimeway.rows import get_delivery, get_event, get_notification, get_run
from chimeway.settings import settings
from chimeway.signal import add_signal
from chimeway.tables import deliveries, digest_buckets, notifications, preferences
from jobs.tables import jobs as job_rows

pytest_plugins = ["job_fixtures", "chimeway_fixtures"]

BOTH = pytest.mark.parametrize("place", ["sqlite", "postgresql"], indirect=True)
#: In the middle of a window of an hour.
START = datetime(2026, 11, 24, 10, 30, tzinfo=UTC)
DUE = START + timedelta(minutes=30)


class Clock:
    """A clock that stands."""

    def __init__(self) -> None:
        self.time = START

    def now(self) -> datetime:
        return self.time


class Comments(chimeway.Notifier):
    notification_key = "test.digest.comments"
    channels = ("in_app", "email")
    digest = chimeway.Digest(group_by="post", subject="{n} comments on {post}")
    in_app = Content(text="{who} wrote")
    email = Content(
        subject="{who} wrote", text="On {post}.", url="https://example.com/{post}", data={"unsubscribe": "u"}
    )


class Few(chimeway.Notifier):
    notification_key = "test.digest.few"
    channels = ("email",)
    digest = chimeway.Digest(min_items=3)
    email = Content(subject="{n}", text="{n}")


class Urgent(chimeway.Notifier):
    notification_key = "test.digest.urgent"
    channels = ("email",)
    critical = True
    digest = chimeway.Digest()
    email = Content(text="now")


class Told(chimeway.Notifier):
    notification_key = "test.digest.told"
    channels = ("email",)
    digest = chimeway.Digest(instructions="In one sentence.", model="m")
    email = Content(subject="{n}", text="{n}")


class Steps(chimeway.Notifier):
    notification_key = "test.digest.steps"
    digest = chimeway.Digest(channels=("email",))
    email = Content(text="{n}")
    workflow = chimeway.Workflow(
        "test.digest.steps",
        steps=[
            chimeway.Gate("grace", rules=[chimeway.Wait(seconds=60, to="email", cancel_on=["answered"])]),
            chimeway.Deliver("email", channel="email", rules=[chimeway.Stop("digested")]),
        ],
    )


class Written(chimeway.Notifier):
    notification_key = "test.digest.written"
    channels = ("email",)
    digest = chimeway.Digest()
    email = Content(prompt="Greet {name}.")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def stands(place: None, clock: Clock, email: Recorder) -> Iterator[None]:
    with told(dispatcher="dramatiq", channels={"email": email}, clock=clock):
        yield


def mails(done: chimeway.Triggered) -> list[Delivery]:
    return [store.read(get_delivery, one.delivery_id) for one in done.deliveries if one.channel == "email"]


def held(notifier: type[chimeway.Notifier], *params: dict[str, Any], **more: Any) -> list[Delivery]:
    found = []
    for one in params:
        settings().clock.time += timedelta(seconds=1)  # type: ignore[attr-defined]
        found += mails(notifier.trigger("ada", one, **more))
    return found


def now(one: Delivery) -> Delivery:
    return store.read(get_delivery, one.delivery_id)


def flushed(one: Delivery, at: datetime = DUE) -> Flushed:
    assert one.digest_bucket_id is not None
    found = store.write(flush, one.digest_bucket_id, at)
    assert found is not None
    return found


def carriers(name: str) -> list[Any]:
    query = select(job_rows).where(job_rows.c.actor_name == name).order_by(job_rows.c.scheduled_at)
    return store.read(lambda connection: list(connection.execute(query).mappings()))


@BOTH
def test_what_is_held_goes_out_as_one(stands: None, email: Recorder) -> None:
    first, second = held(Comments, {"who": "Bo", "post": "p1"}, {"who": "Cy", "post": "p1"})
    assert (first.status, first.orchestration_state, first.reason) == (
        "pending",
        "digest_held",
        "digest_held",
    )
    assert first.digest_bucket_id == second.digest_bucket_id

    done = flushed(first)

    assert (done.digested, done.released, done.left_out) == (2, 0, 0)
    for one in (first, second):
        ended = now(one)
        assert (ended.status, ended.outcome, ended.terminal_at) == ("digested", "digested", DUE)
        facts = {"digest_delivery_id": done.delivery_id, "bucket_id": first.digest_bucket_id}
        assert ended.reason_context == facts
    assert perform_sync(str(done.delivery_id)) == "delivered"
    assert [message.content.subject for message in email.sent] == ["2 comments on p1"]
    assert email.texts == [
        "- Bo wrote\n  On p1.\n  https://example.com/p1\n\n- Cy wrote\n  On p1.\n  https://example.com/p1"
    ]
    assert email.sent[0].content.url == "https://example.com/p1"
    assert email.sent[0].content.data["unsubscribe"] == "u"


def test_the_digest_is_an_event_of_its_own_that_is_told_once(stands: None) -> None:
    first, _ = held(Comments, *[{"who": "Bo", "post": "p1"}] * 2, correlation_id="request-1")
    done = flushed(first)

    digest = store.read(get_delivery, str(done.delivery_id))
    event = store.read(get_event, digest.event_id)
    assert event.idempotency_key == f"digest-bucket:{first.digest_bucket_id}"
    assert (event.notification_key, event.correlation_id) == (Comments.notification_key, "request-1")
    assert event.payload["digest"]["count"] == 2
    assert (digest.orchestration_state, digest.digest_bucket_id) == ("ready", None)
    assert store.write(flush, str(first.digest_bucket_id), DUE) is None
    assert len(carriers("chimeway.deliver")) == 3


def test_one_alone_goes_out_as_it_is(stands: None, email: Recorder) -> None:
    (alone,) = held(Comments, {"who": "Bo", "post": "p1"})

    assert flushed(alone).released == 1
    assert now(alone).orchestration_state == "ready"
    assert now(alone).reason is None
    assert perform_sync(alone.delivery_id) == "delivered"
    assert [message.content.subject for message in email.sent] == ["Bo wrote"]


def test_fewer_than_are_worth_a_digest_go_out_as_they_are(stands: None) -> None:
    first, second = held(Few, {"n": 1}, {"n": 2})
    done = flushed(first)

    assert (done.delivery_id, done.released) == (None, 2)
    waiting = {job["id"] for job in carriers("chimeway.deliver")}
    assert {now(first).carrier_id, now(second).carrier_id} <= waiting


def test_a_bucket_that_has_nothing_left_sends_nothing(stands: None, email: Recorder) -> None:
    first, _ = held(Comments, *[{"who": "Bo", "post": "p1"}] * 2)
    gone = update(deliveries).where(deliveries.c.channel == "email").values(status="cancelled")
    store.write(lambda connection: connection.execute(gone))

    assert flushed(first) == Flushed()


def test_what_was_read_meanwhile_is_left_out(stands: None) -> None:
    first, second, third = held(Comments, *[{"who": "Bo", "post": "p1"}] * 3)
    read = update(notifications).where(notifications.c.id == second.notification_id).values(read_at=DUE)
    store.write(lambda connection: connection.execute(read))

    done = flushed(first)

    assert (done.digested, done.left_out) == (2, 1)
    assert (now(second).status, now(second).reason) == ("suppressed", "already_read")
    assert now(third).status == "digested"


@BOTH
def test_a_workflow_goes_on_with_its_digest_and_signals_take_its_delivery_out(stands: None) -> None:
    runs = []
    for number in range(3):
        notification = Steps.trigger("ada", {"n": number}).notifications[0]
        found = store.read(
            lambda c: c.execute(select(chimeway.metadata.tables["chimeway_workflow_runs"])).mappings().all()
        )
        runs.append(
            next(row["id"] for row in found if row["notification_id"] == notification.notification_id)
        )
    later = START + timedelta(minutes=2)
    for run in runs:
        store.write(progress_run, run, later)
    query = select(deliveries.c.id, deliveries.c.run_id)
    planned = {
        run: store.read(get_delivery, one) for one, run in store.read(lambda c: c.execute(query).all())
    }
    add = {"tenant_id": "default", "actor_id": "ada", "event_name": "answered", "payload": {}}
    one = planned[runs[0]]
    cancel = update(deliveries).where(deliveries.c.id != one.delivery_id).values(cancel_on=None)
    store.write(lambda connection: connection.execute(cancel))
    store.write(add_signal, now=later, **add)

    done = flushed(one)

    assert (done.digested, done.left_out) == (2, 1)
    assert now(one).reason == "cancelled_by_signal"
    ended = [store.read(get_run, run) for run in runs]
    assert [run.reason for run in ended] == [
        "workflow_completed",
        "workflow_stopped:digested",
        "workflow_stopped:digested",
    ]


@BOTH
def test_of_many_that_flush_at_once_one_does(stands: None) -> None:
    first, _ = held(Comments, *[{"who": "Bo", "post": "p1"}] * 2)
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: store.write(flush, str(first.digest_bucket_id), DUE), range(4)))

    assert [one.digested for one in done if one is not None] == [2]


@BOTH
def test_a_delivery_that_is_being_held_while_its_bucket_goes_out_is_not_stranded(
    stands: None, engine: Engine
) -> None:
    (first,) = held(Comments, {"who": "Bo", "post": "p1"})
    with ThreadPoolExecutor(1) as pool:
        with engine.begin() as connection:
            second = Comments.trigger("ada", {"who": "Cy", "post": "p1"}, session=connection)
            flushing = pool.submit(flushed, first)
            with pytest.raises(TimeoutError):
                flushing.result(timeout=0.3)
        assert flushing.result(timeout=20).digested == 2

    assert mails(second)[0].status == "digested"


@BOTH
def test_a_clock_that_is_behind_finds_the_bucket_closed_and_takes_the_next_window(stands: None) -> None:
    (first,) = held(Comments, {"who": "Bo", "post": "p1"})
    flushed(first)
    (second,) = held(Comments, {"who": "Cy", "post": "p1"})

    assert second.digest_bucket_id != first.digest_bucket_id
    due = store.read(
        lambda c: c.execute(
            select(digest_buckets.c.due_at).where(digest_buckets.c.id == second.digest_bucket_id)
        ).scalar_one()
    )
    assert due == DUE + timedelta(hours=1)
    assert flushed(second, due).released == 1


def test_each_recipient_group_and_tenant_has_a_bucket_of_its_own_and_each_bucket_one_job(
    stands: None,
) -> None:
    found = {
        str(mails(Comments.trigger(who, {"who": "Bo", "post": post}, tenant_id=tenant))[0].digest_bucket_id)
        for who in ("ada", "bea")
        for post in ("p1", "p2")
        for tenant in ("default", "other")
        for _ in range(2)
    }

    sent = carriers("chimeway.flush_digest")
    assert len(found) == 8
    assert sorted(job["arguments"]["args"][0] for job in sent) == sorted(found)
    assert {job["scheduled_at"] for job in sent} == {DUE}


@BOTH
def test_many_are_held_with_few_statements(stands: None) -> None:
    (one,) = held(Comments, {"who": "Bo", "post": "p1"})
    digest = Comments.digest
    assert digest is not None
    many = [
        ToHold(
            delivery=one.evolve(recipient_identity=f"r{number % 300}"), digest=digest.to_dict(), payload={}
        )
        for number in range(600)
    ]

    found = store.write(hold_all, many, START)

    assert found[:300] == found[300:]
    assert len(set(found)) == 300
    assert len(carriers("chimeway.flush_digest")) == 301


def test_what_is_critical_is_not_held(stands: None) -> None:
    (one,) = held(Urgent, {})
    assert one.orchestration_state == "ready"


def test_a_channel_that_is_not_held_goes_out_at_once(stands: None) -> None:
    done = Comments.trigger("ada", {"who": "Bo", "post": "p1"})
    assert [one.orchestration_state for one in done.deliveries] == ["ready", "digest_held"]


def test_a_model_may_be_told_to_write_the_digest(stands: None) -> None:
    first, _ = held(Told, {"n": 1}, {"n": 2})
    done = flushed(first)

    digest = store.read(get_delivery, str(done.delivery_id))
    content = store.read(get_notification, digest.notification_id).contents["email"]
    assert (digest.status, digest.orchestration_state) == ("pending", "content_pending")
    assert {name: content[name] for name in ("prompt", "text", "instructions", "model")} == {
        "prompt": "- 1\n  1\n\n- 2\n  2",
        "text": "- 1\n  1\n\n- 2\n  2",
        "instructions": "In one sentence.",
        "model": "m",
    }
    assert [job["arguments"]["args"] for job in carriers("chimeway.write_content")] == [[digest.delivery_id]]


def test_one_alone_whose_text_is_still_to_be_written_is_written_first(stands: None) -> None:
    (alone,) = held(Written, {"name": "Ada"})
    flushed(alone)

    assert now(alone).orchestration_state == "content_pending"
    assert [job["id"] for job in carriers("chimeway.write_content")] == [now(alone).carrier_id]


def test_a_recipient_who_has_switched_it_off_meanwhile_gets_no_digest(stands: None) -> None:
    first, _ = held(Comments, *[{"who": "Bo", "post": "p1"}] * 2)
    row = {
        "tenant_id": "default",
        "recipient_identity": "ada",
        "scope": "channel",
        "subject": "",
        "channel": "email",
    }
    store.write(lambda c: c.execute(preferences.insert().values(**row, enabled=False, updated_at=START)))

    digest = store.read(get_delivery, str(flushed(first).delivery_id))
    assert (digest.status, digest.reason) == ("suppressed", "channel_disabled")


async def test_a_job_that_comes_too_early_comes_back_when_the_bucket_is_due(
    stands: None, clock: Clock
) -> None:
    (alone,) = held(Comments, {"who": "Bo", "post": "p1"})
    with pytest.raises(jobs.Snooze) as caught:
        await flush_digest(str(alone.digest_bucket_id))
    assert caught.value.seconds == 1799
    assert now(alone).orchestration_state == "digest_held"

    clock.time = DUE
    await flush_digest(str(alone.digest_bucket_id))
    assert now(alone).orchestration_state == "ready"


def test_a_bucket_that_is_not_there_is_no_error(stands: None) -> None:
    assert store.write(flush, "0" * 32, DUE) is None


def test_a_subject_that_cannot_be_filled_does_not_hold_the_digest_up() -> None:
    content = digest_content([Content(text="a"), Content(text="b")], {"subject": "{lost}"}, {})
    assert content.subject == "2 new notifications"


def test_html_is_listed_where_one_has_it_and_what_has_none_is_escaped() -> None:
    contents = [Content(subject="A & B", html="<p>x</p>"), Content(text="1 < 2", url="https://e.com/?a&b")]
    found = digest_content(contents, {}, {})

    assert found.html == (
        "<ul>\n<li><strong>A &amp; B</strong><br>\n<p>x</p></li>\n"
        '<li>1 &lt; 2<br>\n<a href="https://e.com/?a&amp;b">https://e.com/?a&amp;b</a></li>\n</ul>'
    )
    assert found.url is None
    assert digest_content([Content(text="a")], {}, {}).html is None


def test_a_very_long_digest_is_cut_and_says_so() -> None:
    found = digest_content([Content(text="x" * 5000, html="<i>")] * (MOST_LISTED + 7), {}, {})

    assert found.subject == "107 new notifications"
    assert found.text.count("- ") == MOST_LISTED
    assert found.text.endswith("\n\n... and 7 more")
    assert len(found.text) < MOST_LISTED * (LONGEST_ITEM + 20)
    assert found.html is not None
    assert found.html.endswith("<p>... and 7 more</p>")
    assert (found.data["count"], len(found.data["items"])) == (107, MOST_LISTED)
