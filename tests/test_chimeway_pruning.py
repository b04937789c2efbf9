from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from chimeway_notifiers import Both, Mention, MovedClock, Recorder, Welcome
from sqlalchemy import Connection, Engine, func, insert, select, update

import chimeway
from aquila.errors import ConfigError
from chimeway import pruning, store
from chimeway.cancelling import cancel
from chimeway.errors import PermanentFailure, TemporaryFailure
from chimeway.fanout import AT_ONCE
from chimeway.in_app.marks import mark_read
from chimeway.pruning import Pruned, aprune, prune
from chimeway.rows import find_event
from chimeway.tables import (
    attempts,
    deliveries,
    digest_buckets,
    events,
    fanouts,
    feedback,
    notifications,
    run_waits,
    runs,
    signals,
    step_outputs,
    transitions,
)

pytest_plugins = ["job_fixtures", "chimeway_fixtures"]
pytestmark = pytest.mark.parametrize("place", ["sqlite", "postgresql"], indirect=True)

OLD = timedelta(days=91)
TABLES = (
    events,
    notifications,
    deliveries,
    attempts,
    runs,
    transitions,
    run_waits,
    step_outputs,
    fanouts,
    signals,
    feedback,
)


def counts() -> dict[str, int]:
    def read(connection: Connection) -> dict[str, int]:
        numbers = {
            one.name: connection.execute(select(func.count()).select_from(one)).scalar_one() for one in TABLES
        }
        return {name.removeprefix("chimeway_"): number for name, number in numbers.items() if number}

    return store.read(read)


def age(by: timedelta, clock: MovedClock) -> None:
    clock.offset += by


def is_there(done: chimeway.Triggered) -> bool:
    return store.read(find_event, done.event.event_id) is not None


def test_an_event_that_is_long_over_goes_with_all_that_belongs_to_it(sync: None, clock: MovedClock) -> None:
    Both.trigger(["1", "2"], {"what": "x"})
    done = Mention.trigger("1", {"who": "Bo"})
    cancel(event_id=done.event.event_id)
    age(OLD, clock)

    assert prune() == Pruned(events=2, notifications=3, deliveries=5, runs=1)
    assert counts() == {}


def test_what_is_younger_stays(sync: None, clock: MovedClock) -> None:
    old = Welcome.trigger("1", {"name": "A"})
    age(OLD, clock)
    young = Welcome.trigger("2", {"name": "B"})

    assert prune().events == 1
    assert (is_there(old), is_there(young)) == (False, True)
    age(timedelta(seconds=1), clock)
    prune(timedelta())
    assert counts() == {}


def test_what_has_something_to_do_stays_however_old_it_is(
    sync: None, clock: MovedClock, email: Recorder
) -> None:
    waiting = Mention.trigger("1", {"who": "Bo"})
    email.errors.append(TemporaryFailure("busy"))
    failed = Welcome.trigger("2", {"name": "B"})
    chimeway.configure(dispatcher="dramatiq")
    pending = Welcome.trigger("3", {"name": "C"})
    large = Welcome.trigger([f"r{number}" for number in range(AT_ONCE + 1)], {"name": "D"})
    age(OLD, clock)

    assert prune() == Pruned()
    assert all(is_there(one) for one in (waiting, failed, pending, large))


def test_the_time_counts_from_the_end_not_from_the_trigger(queued: None, clock: MovedClock) -> None:
    done = Mention.trigger("1", {"who": "Bo"}, cancellation_key="k")
    age(OLD, clock)
    cancel(key="k")

    assert prune() == Pruned()
    age(OLD, clock)
    assert prune().events == 1
    assert not is_there(done)


def test_the_idempotency_key_is_free_again(sync: None, clock: MovedClock, email: Recorder) -> None:
    Welcome.trigger("1", {"name": "A"}, idempotency_key="k")
    age(OLD, clock)
    prune()

    assert not Welcome.trigger("1", {"name": "A"}, idempotency_key="k").duplicate
    assert len(email.sent) == 2


def test_signals_go_when_no_run_can_hear_them_any_more(sync: None, clock: MovedClock) -> None:
    waiting = Mention.trigger("ada", {"who": "Bo"}).event.event_id
    for actor in ("ada", "bo"):
        chimeway.track("default", actor, "something.done")
    chimeway.track("default", "bo", "not.routed")
    routed = signals.c.event_name == "something.done"
    store.write(lambda c: c.execute(update(signals).where(routed).values(processed_at=clock.now())))
    age(OLD, clock)

    assert prune() == Pruned(signals=1)
    left = store.read(lambda c: c.execute(select(signals.c.actor_id, signals.c.event_name)).all())
    assert {tuple(row) for row in left} == {("ada", "something.done"), ("bo", "not.routed")}
    assert store.read(find_event, waiting) is not None


def test_feedback_goes_once_it_is_taken_in(sync: None, clock: MovedClock) -> None:
    row = {"adapter": "a", "kind": "delivered", "state": "queued", "received_at": clock.now()}
    many = [
        {**row, "id": "open", "provider_event_id": "1", "processed_at": None},
        {**row, "id": "done", "provider_event_id": "2", "processed_at": clock.now()},
    ]
    store.write(lambda c: c.execute(insert(feedback), many))
    age(OLD, clock)

    assert prune() == Pruned(feedback=1)
    assert store.read(lambda c: list(c.scalars(select(feedback.c.id)))) == ["open"]


def test_a_digest_goes_after_the_deliveries_it_held(sync: None, clock: MovedClock) -> None:
    bucket: dict[str, Any] = {
        "tenant_id": "default",
        "recipient_identity": "1",
        "notification_key": "k",
        "channel": "email",
    }
    moments = {"window_start": clock.now(), "due_at": clock.now(), "options": {}}
    many = [
        {**bucket, **moments, "id": "flushed", "group_key": "a", "flushed_at": clock.now()},
        {**bucket, **moments, "id": "held", "group_key": "b", "flushed_at": clock.now()},
        {**bucket, **moments, "id": "open", "group_key": "c", "flushed_at": None},
    ]
    store.write(lambda c: c.execute(insert(digest_buckets), many))
    age(OLD, clock)
    Welcome.trigger("1", {"name": "A"})
    store.write(lambda c: c.execute(update(deliveries).values(digest_bucket_id="held")))

    assert prune() == Pruned(digests=1)
    assert store.read(lambda c: sorted(c.scalars(select(digest_buckets.c.id)))) == ["held", "open"]


def test_many_go_in_several_transactions(
    sync: None, clock: MovedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "BATCH", 3)
    monkeypatch.setattr(pruning, "MOST_DELIVERIES", 4)
    monkeypatch.setattr(pruning, "ROWS", 2)
    for number in range(4):
        Both.trigger(["1", "2", "3"], {"what": str(number)})
        Welcome.trigger("1", {"name": "A"})
    notification_ids = store.read(
        lambda c: list(c.scalars(select(notifications.c.id).where(notifications.c.recipient_identity == "1")))
    )
    for one in notification_ids[:5]:
        mark_read("1", one)
    store.write(lambda c: c.execute(update(signals).values(processed_at=clock.now())))
    age(OLD, clock)

    assert prune() == Pruned(events=8, notifications=16, deliveries=28, signals=5)
    assert counts() == {}


def test_two_that_prune_at_once_do_no_harm(sync: None, clock: MovedClock) -> None:
    for number in range(20):
        Welcome.trigger(str(number), {"name": "A"})
    age(OLD, clock)
    done: list[Pruned] = []
    threads = [threading.Thread(target=lambda: done.append(prune())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert done[0] + done[1] == Pruned(events=20, notifications=20, deliveries=20)
    assert counts() == {}


def test_what_a_host_revives_meanwhile_stays_and_keeps_nothing_else(
    sync: None, clock: MovedClock, email: Recorder, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "BATCH", 1)
    email.errors.append(PermanentFailure("wrong"))
    revived = Welcome.trigger("1", {"name": "A"})
    other = Welcome.trigger("2", {"name": "B"})
    age(OLD, clock)
    with engine.connect() as host:
        chimeway.retry(revived.deliveries[0].delivery_id, session=host)
        if engine.dialect.name == "sqlite":
            # One that writes has the whole database.
            host.commit()
        assert prune().events == 1
        host.commit()

    assert prune() == Pruned()
    assert (is_there(revived), is_there(other)) == (True, False)
    assert counts()["deliveries"] == 1


async def test_the_asynchronous_form_does_the_same(sync: None, clock: MovedClock) -> None:
    await Welcome.atrigger("1", {"name": "A"})
    age(OLD, clock)

    assert (await aprune(timedelta(days=100))).total == 0
    assert (await aprune()).total == 3


@pytest.mark.parametrize("older_than", [timedelta(seconds=-1), 90, None])
def test_what_is_no_time_is_refused(sync: None, older_than: Any) -> None:
    with pytest.raises(ConfigError, match="older_than"):
        prune(older_than)


def test_the_longest_time_removes_nothing(sync: None, clock: MovedClock) -> None:
    Welcome.trigger("1", {"name": "A"})

    assert prune(timedelta.max) == Pruned()
