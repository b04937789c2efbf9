from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from chimeway_explained import (
    SECRET,
    Digested,
    Escalating,
    Note,
    Once,
    Stand,
    Unread,
    a_stand,
    end_job,
    lose_job,
)
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

import chimeway
from aquila.errors import ConfigError
from chimeway import store
from chimeway.cancelling import cancel
from chimeway.dispatch.performing import perform_sync
from chimeway.errors import Bounced, NotificationNotFound, NotifierInvalid, PermanentFailure, TemporaryFailure
from chimeway.explain import aaggregate_outcomes, aggregate_outcomes, atrace, atraces, trace, traces
from chimeway.fanout import Chunk, _note_error, plan_chunk
from chimeway.recipients.preferences import set_preference
from chimeway.tables import fanouts

pytest_plugins = ["job_fixtures", "chimeway_fixtures"]
BOTH = pytest.mark.parametrize("place", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def stand(place: None) -> Iterator[Stand]:
    with a_stand() as made, made.all_queues():
        yield made


def many(count: int = 101) -> chimeway.Event:
    return Note.trigger([f"person-{number}" for number in range(count)], {"word": SECRET}).event


def chunk_carrier(event: chimeway.Event) -> str | None:
    query = select(fanouts.c.carrier_id).where(fanouts.c.event_id == event.event_id)
    return store.read(lambda connection: connection.execute(query).scalar())


@BOTH
def test_an_event_is_found_by_its_id_and_its_key_with_all_that_came_of_it(stand: Stand) -> None:
    set_preference("muted", False, channel="email")
    done = Unread.trigger(
        [stand.recipient("ada"), stand.recipient("muted")], {"word": SECRET}, idempotency_key="order-7"
    )
    perform_sync(done.deliveries[0].delivery_id)

    said = trace(done.event.event_id)

    assert trace(idempotency_key="order-7") == said
    assert (
        said.summary
        == "'explained.unread': 4 deliveries to 2 recipients: 2 pending, 1 succeeded, 1 suppressed"
    )
    assert (said.notification_count, said.unplanned_count) == (2, 0)
    assert {one.state for one in said.deliveries} == {"pending", "succeeded", "suppressed"}
    assert [entry.what for entry in said.timeline].count("delivery_planned") == 4
    assert [entry.at for entry in said.timeline] == sorted(entry.at for entry in said.timeline)
    written = json.dumps(said.to_dict())
    assert SECRET not in written
    assert json.loads(written)["runs"] == []


@BOTH
def test_events_are_found_by_request_and_by_recipient_the_newest_first(stand: Stand) -> None:
    first = Note.trigger("ada", {"word": "a"}, correlation_id="request-1").event
    stand.clock.advance(seconds=1)
    second = Note.trigger(["ada", "bob"], {"word": "b"}, correlation_id="request-1").event
    Note.trigger("ada", {"word": "c"}, tenant_id="acme")

    assert [one.event_id for one in traces(correlation_id="request-1")] == [second.event_id, first.event_id]
    assert [one.event_id for one in traces(recipient="bob")] == [second.event_id]
    assert len(traces(recipient="ada")) == 3
    assert len(traces(recipient="ada", tenant_id="default", limit=1)) == 1
    assert traces(recipient="nobody") == []


async def test_the_asynchronous_forms_give_the_same(stand: Stand) -> None:
    event = Note.trigger("ada", {"word": "a"}, correlation_id="request-1").event

    assert await atrace(event.event_id) == trace(event.event_id)
    assert await atraces(correlation_id="request-1") == traces(correlation_id="request-1")
    assert await aaggregate_outcomes() == aggregate_outcomes()


def test_what_is_not_there_is_not_found(stand: Stand, engine: Engine) -> None:
    event = Note.trigger("ada", {"word": "a"}, idempotency_key="order-7").event
    with Session(engine) as session:
        mine = Note.trigger("bob", {"word": "b"}, session=session).event
        assert trace(mine.event_id, session=session).statuses == {"pending": 1}
        session.rollback()

    for asked in (
        {"event_id": "none"},
        {"event_id": mine.event_id},
        {"idempotency_key": "order-7", "tenant_id": "acme"},
    ):
        with pytest.raises(NotificationNotFound, match=r"no event .* rolled back"):
            trace(**asked)
    with pytest.raises(NotificationNotFound, match="in the tenant 'acme'"):
        trace(event.event_id, tenant_id="acme")
    with pytest.raises(ConfigError, match="event_id or an idempotency_key"):
        trace()
    with pytest.raises(ConfigError, match="correlation_id, a recipient"):
        traces()


def test_a_workflow_is_told_with_its_event(stand: Stand) -> None:
    event = Escalating.trigger(stand.recipient("ada"), {"word": SECRET}).event

    said = trace(event.event_id)

    assert [one.kind for one in said.runs] == ["run"]
    assert [entry.what for entry in said.timeline] == [
        "event_created",
        "notification_created",
        "workflow_started",
        "delivery_planned",
    ]


@BOTH
def test_recipients_that_are_not_planned_yet_are_told_with_the_reason(stand: Stand) -> None:
    waits = many()
    assert trace(waits.event_id).summary.startswith(
        "'explained.note': 101 recipients are not planned yet: its job"
    )
    assert trace(waits.event_id).unplanned_count == 101
    lose_job(chunk_carrier(waits))
    assert trace(waits.event_id).summary.endswith("its job is gone; the next sweep gives it to another job")

    failed = many()
    end_job(chunk_carrier(failed))
    assert "was discarded with WorkerLost and left it undone" in trace(failed.event_id).summary

    unknown = many()
    error = NotifierInvalid("this process does not know the notifier 'x'; start the worker with its module")
    store.write(_note_error, Chunk(unknown.event_id, 0), error)
    said = trace(unknown.event_id)
    assert said.summary.endswith("not planned yet: this process does not know the notifier 'x'")
    assert said.remedy == "start the worker with its module"


def test_recipients_that_are_planned_or_never_will_be_are_counted(stand: Stand) -> None:
    planned, taken_back = many(), many()
    plan_chunk(Chunk(planned.event_id, 0), stand.clock.now())
    cancel(event_id=taken_back.event_id, reason="order_withdrawn")

    said = trace(planned.event_id)
    assert said.summary == "'explained.note': 101 deliveries to 101 recipients: 101 pending"
    assert (said.statuses, len(said.deliveries)) == ({"pending": 101}, 100)
    assert (
        trace(taken_back.event_id).summary
        == "'explained.note': 101 recipients are never planned: order_withdrawn"
    )


def test_an_event_without_recipients_says_so(stand: Stand) -> None:
    event = Note.trigger([], {"word": "a"}).event

    assert trace(event.event_id).summary == "'explained.note': nobody was told: it had no recipients"


@BOTH
def test_outcomes_are_counted_by_key_and_channel(stand: Stand) -> None:
    stand.tried()
    stand.tried(PermanentFailure("no"))
    stand.tried(Bounced("no"))
    stand.tried(TemporaryFailure("full"))
    stand.tried(TemporaryFailure("full"), notifier=Once)
    stand.sent(Digested)
    set_preference("muted", False, channel="email")
    stand.sent(who="muted")
    cancel(delivery_id=stand.sent())
    later = stand.clock.now()
    stand.clock.advance(seconds=1)
    stand.sent()

    by_key = {one.notification_key: one for one in aggregate_outcomes()}

    note = by_key["explained.note"].to_dict()
    assert note == {
        "notification_key": "explained.note",
        "channel": "email",
        "sent": 1,
        "failed": 1,
        "bounced": 1,
        "retrying": 1,
        "suppressed": 1,
        "cancelled": 1,
        "pending": 1,
        "delayed": 0,
        "digested": 0,
        "exhausted": 0,
        "total": 7,
    }
    assert by_key["explained.once"].exhausted == 1
    assert by_key["explained.digested"].delayed == 1
    assert [one.total for one in aggregate_outcomes(since=later)] == [1]
    assert aggregate_outcomes(notification_key="explained.once", channel="sms") == []
    assert aggregate_outcomes(tenant_id="acme") == []
    with pytest.raises(ConfigError, match="aware"):
        aggregate_outcomes(since=(later - timedelta(1)).replace(tzinfo=None))
