from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from job_postgres import Postgres
from sqlalchemy import Connection, delete, event, insert, update

from chimeway.models import Delivery, DeliveryStatus
from chimeway.policy import Decision, DeliveryCap, Digest, Preference, Proceed, QuietHours, Throttle
from chimeway.policy_store import Planned, decide_all, decide_one
from chimeway.recipients.rows import write_delivery_cap, write_preference, write_quiet_hours
from chimeway.recipients.whose import Whose
from chimeway.tables import deliveries, events, metadata, notifications, signals
from jobs.database import Database
from jobs.rows import new_id
from jobs.settings import sync_url

pytest_plugins = ["job_fixtures"]

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
ADA = Whose("default", "ada")
READ = "chimeway.notification.read"


class Place:
    """Rows that other parts write, made by hand."""

    def __init__(self, database: Database) -> None:
        self.database = database
        metadata.create_all(database.engine)

    def empty(self) -> None:
        def remove(connection: Connection) -> None:
            for table in metadata.sorted_tables:
                connection.execute(delete(table))

        self.database.write(remove)

    def cap(self, count: int, seconds: int = 3600, *, who: Whose = ADA) -> None:
        self.database.write(write_delivery_cap, who, DeliveryCap(count, seconds), NOW)

    def prefer(self, said: Preference, *, who: Whose = ADA) -> None:
        self.database.write(write_preference, who, said, NOW)

    def quiet(self, quiet: QuietHours, *, who: Whose = ADA) -> None:
        self.database.write(write_quiet_hours, who, quiet, NOW)

    def there(
        self, one: Delivery, payload: dict[str, Any] | None = None, *, read_at: datetime | None = None
    ) -> Delivery:
        """Store a delivery with its notification and event."""
        self.database.write(_store, one, payload or {}, read_at)
        return one

    def signal(self, name: str, payload: dict[str, Any], **facts: Any) -> None:
        plain = {"tenant_id": "default", "actor_id": "ada", "occurred_at": NOW}
        row = {"id": new_id(), "event_name": name, "payload": payload, **plain, **facts}
        self.database.write(lambda connection: connection.execute(insert(signals).values(row)))

    def plan(self, *many: Delivery, now: datetime = NOW, **facts: Any) -> list[str | None]:
        """Say what is decided of each, in a word."""
        planned = [Planned(delivery=one, **{"payload": {}, **facts}) for one in many]
        return [_word(one) for one in self.database.read(decide_all, planned, now)]

    def perform(self, one: Delivery, now: datetime = NOW) -> str | None:
        return _word(self.database.write(decide_one, one, now))


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def kept(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Place]:
    """One database for all tests of a kind: making one takes longer than most of them."""
    url = f"sqlite:///{tmp_path_factory.mktemp('policy') / 'jobs.db'}"
    if request.param == "postgresql":
        server: Postgres = request.getfixturevalue("shared_postgres")
        url = sync_url(server.new_database(template="migrated"))
    opened = Database(url)
    yield Place(opened)
    opened.close()


@pytest.fixture
def place(kept: Place) -> Place:
    kept.empty()
    return kept


def a_delivery(**facts: Any) -> Delivery:
    plain: dict[str, Any] = {
        "delivery_id": new_id(),
        "notification_id": new_id(),
        "event_id": new_id(),
        "recipient_identity": "ada",
        "notification_key": "mention",
        "channel": "email",
        "created_at": NOW - timedelta(minutes=1),
        "updated_at": NOW - timedelta(minutes=1),
    }
    return Delivery(**{**plain, **facts})


def sent(*, ago: float = 60.0, **facts: Any) -> Delivery:
    """A delivery that arrived some seconds ago."""
    then = NOW - timedelta(seconds=ago)
    return a_delivery(**{"status": "succeeded", "created_at": then, "terminal_at": then, **facts})


def _word(decision: Decision) -> str | None:
    return None if isinstance(decision, Proceed) else decision.reason


def _store(connection: Connection, one: Delivery, payload: dict[str, Any], read_at: datetime | None) -> None:
    shared = {
        "tenant_id": one.tenant_id,
        "notification_key": one.notification_key,
        "created_at": one.created_at,
    }
    given = {"notification_version": 1, "idempotency_key": one.event_id, "payload": payload, "options": {}}
    connection.execute(insert(events).values(id=one.event_id, **shared, **given))
    about = {
        "recipient_identity": one.recipient_identity,
        "recipient_type": "user",
        "addresses": {},
        "contents": {},
    }
    connection.execute(
        insert(notifications).values(
            id=one.notification_id, event_id=one.event_id, read_at=read_at, **shared, **about
        )
    )
    row = {
        column.name: getattr(one, column.name) for column in deliveries.columns if hasattr(one, column.name)
    }
    connection.execute(insert(deliveries).values(id=one.delivery_id, **row))


def test_a_recipient_who_said_nothing_is_told_of_everything(place: Place) -> None:
    assert place.plan(a_delivery(), a_delivery(channel="sms", category="news")) == [None, None]
    assert place.perform(place.there(a_delivery())) is None


def test_what_a_recipient_said_holds_for_it_alone(place: Place) -> None:
    place.prefer(Preference(enabled=False, channel="email"))
    place.prefer(Preference(enabled=False, category="news"))
    place.prefer(Preference(enabled=False, notification_key="other"))
    asked = [
        a_delivery(),
        a_delivery(channel="sms"),
        a_delivery(channel="sms", category="news"),
        a_delivery(recipient_identity="bob"),
        a_delivery(tenant_id="another"),
        a_delivery(critical=True, category="news"),
    ]

    wanted = ["channel_disabled", None, "category_disabled", None, None, None]
    assert place.plan(*asked) == wanted
    assert [place.perform(place.there(one)) for one in asked] == wanted


def test_a_category_and_a_key_of_one_name_are_told_apart(place: Place) -> None:
    place.prefer(Preference(enabled=False, category="mention"))

    assert place.plan(a_delivery(), a_delivery(category="mention")) == [None, "category_disabled"]


def test_the_night_is_waited_for_when_planned_and_when_sent(place: Place) -> None:
    place.quiet(QuietHours(start=11 * 60, end=13 * 60, time_zone="UTC"))
    one = place.there(a_delivery(attempt_count=2, status=DeliveryStatus.FAILED))

    assert place.plan(a_delivery(), a_delivery(channel="in_app"), a_delivery(critical=True)) == [
        "quiet_hours",
        None,
        None,
    ]
    assert place.perform(one) == "quiet_hours"
    assert place.perform(one, NOW + timedelta(hours=1)) is None


def test_a_night_in_a_zone_that_this_machine_does_not_know_keeps_nothing_back_and_is_told_once(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    zone = f"Mars/{new_id()}"
    place.quiet(QuietHours(start=0, end=23 * 60, time_zone=zone))
    one = place.there(a_delivery())

    assert place.plan(a_delivery(), a_delivery()) == [None, None]
    assert place.perform(one) is None
    (said,) = [record.getMessage() for record in caplog.records if record.name == "chimeway"]
    assert zone in said
    assert "ada" not in said


@pytest.mark.parametrize(
    ("other", "counts"),
    [
        ({}, True),
        ({"status": "failed"}, True),
        ({"status": "succeeded"}, True),
        ({"orchestration_state": "deferred"}, True),
        ({"critical": True}, True),
        ({"channel": "sms", "notification_key": "other"}, True),
        ({"status": "suppressed"}, False),
        ({"status": "cancelled"}, False),
        ({"status": "digested"}, False),
        ({"orchestration_state": "digest_held"}, False),
        ({"channel": "in_app"}, False),
        ({"recipient_identity": "bob"}, False),
        ({"tenant_id": "another"}, False),
        ({"created_at": NOW - timedelta(seconds=3600)}, False),
    ],
)
def test_a_cap_counts_what_may_reach_the_recipient(
    place: Place, other: dict[str, Any], *, counts: bool
) -> None:
    place.cap(1)
    place.there(a_delivery(**other))

    assert place.plan(a_delivery()) == ["delivery_cap_reached" if counts else None]


def test_deliveries_that_are_planned_together_count_for_each_other(place: Place) -> None:
    place.cap(2)
    place.prefer(Preference(enabled=False, channel="push"))
    place.there(a_delivery())
    channels = ["in_app", "push", "email", "sms", "in_app"]

    decided = place.plan(*(a_delivery(channel=channel) for channel in channels), a_delivery(critical=True))

    assert decided == [None, "channel_disabled", None, "delivery_cap_reached", None, None]


def test_recipients_are_counted_by_their_own_caps(place: Place) -> None:
    place.cap(1, 60)
    place.cap(2, 3600, who=Whose("default", "bob"))
    for who in ("ada", "bob", "eve"):
        place.there(a_delivery(recipient_identity=who, created_at=NOW - timedelta(seconds=100)))

    asked = [a_delivery(recipient_identity=who) for who in ("ada", "bob", "eve", "ada", "bob", "eve")]

    assert place.plan(*asked) == [None, None, None, "delivery_cap_reached", "delivery_cap_reached", None]


def test_when_it_is_sent_a_cap_counts_what_was_sent(place: Place) -> None:
    place.cap(1)
    one = place.there(a_delivery())
    place.there(a_delivery())
    place.there(a_delivery(status="failed"))
    place.there(sent(ago=3600.0))
    assert place.perform(one) is None

    place.there(sent(ago=3599.0, created_at=NOW - timedelta(days=1)))
    assert place.perform(one) == "delivery_cap_reached"


def test_a_delivery_does_not_count_itself(place: Place) -> None:
    place.cap(1)
    one = place.there(a_delivery(status="dispatched", throttle=Throttle(1, 60).to_dict()))

    assert place.perform(one) is None


def throttled(limit: int = 1, seconds: int = 3600, key: str | None = None, **facts: Any) -> Delivery:
    return a_delivery(throttle=Throttle(limit, seconds, key).to_dict(), **facts)


@pytest.mark.parametrize(
    ("other", "counts"),
    [
        ({}, True),
        ({"orchestration_state": "deferred"}, True),
        ({"status": "suppressed"}, False),
        ({"channel": "sms"}, False),
        ({"notification_key": "other"}, False),
        ({"recipient_identity": "bob"}, False),
        ({"created_at": NOW - timedelta(hours=2)}, False),
    ],
)
def test_a_throttle_counts_what_the_notifier_told_on_the_channel(
    place: Place, other: dict[str, Any], *, counts: bool
) -> None:
    place.there(a_delivery(**other))

    assert place.plan(throttled()) == ["throttled" if counts else None]
    assert place.plan(throttled(critical=True)) == ["throttled" if counts else None]


def test_a_reminder_of_the_same_notification_is_not_throttled(place: Place) -> None:
    first = place.there(sent())
    again = throttled(notification_id=first.notification_id, step_key="reminder")

    assert place.plan(again) == [None]
    assert place.perform(again) is None


def test_a_throttle_with_a_key_counts_each_value_apart(place: Place) -> None:
    place.there(a_delivery(), {"document": "d\u00e9j\u00e0"})
    place.there(a_delivery(), {"document": 7})
    asked = throttled(key="document")

    def decided(value: Any) -> list[str | None]:
        return place.plan(asked, payload={"document": value})

    assert decided("d\u00e9j\u00e0") == decided(7) == ["throttled"]
    assert decided("7") == decided("other") == decided(None) == [None]


def test_a_throttle_is_looked_at_again_when_it_is_sent(place: Place) -> None:
    one = place.there(throttled(key="document"), {"document": "a"})
    place.there(sent(), {"document": "b"})
    place.there(a_delivery(), {"document": "a"})
    assert place.perform(one) is None

    place.there(sent(), {"document": "a"})
    assert place.perform(one) == "throttled"


def test_throttled_deliveries_that_are_planned_together_count_for_each_other(place: Place) -> None:
    first = throttled()

    assert place.plan(first, throttled(), throttled(recipient_identity="bob")) == [None, "throttled", None]
    assert place.plan(first, replace(first, step_key="again")) == [None, None]


def test_what_is_held_for_a_digest_neither_counts_nor_is_counted(place: Place) -> None:
    place.cap(1)
    place.quiet(QuietHours(start=0, end=1439, time_zone="UTC"))
    held, out = throttled(), throttled(channel="sms")

    assert place.plan(held, held, out, digest=Digest().to_dict()) == [None, None, "quiet_hours"]
    assert place.plan(throttled(critical=True), throttled(), digest=Digest().to_dict()) == [None, None]


def test_what_was_read_is_not_sent_where_only_news_is_wanted(place: Place) -> None:
    read = NOW - timedelta(seconds=1)
    wanted = place.there(a_delivery(only_unread=True))

    assert place.perform(wanted) is None
    assert place.perform(place.there(a_delivery(only_unread=True), read_at=read)) == "already_read"
    assert place.perform(place.there(a_delivery(), read_at=read)) is None


def waits_for(name: str, match: dict[str, Any] | None = None, **facts: Any) -> Delivery:
    return a_delivery(cancel_on=[{"event": "other", "match": {}}, {"event": name, "match": match}], **facts)


@pytest.mark.parametrize(
    ("facts", "taken_back"),
    [
        ({}, True),
        ({"occurred_at": NOW - timedelta(minutes=1)}, True),
        ({"occurred_at": NOW - timedelta(minutes=2)}, False),
        ({"actor_id": "bob"}, False),
        ({"tenant_id": "another"}, False),
        ({"event_name": "paid.late"}, False),
    ],
)
def test_a_signal_that_came_since_the_notification_takes_a_delivery_back(
    place: Place, facts: dict[str, Any], *, taken_back: bool
) -> None:
    one = place.there(waits_for("paid"))
    place.signal("paid", {}, **facts)

    assert place.perform(one) == ("cancelled_by_signal" if taken_back else None)


def test_a_signal_must_have_the_values_that_are_asked_for(place: Place) -> None:
    one = place.there(waits_for("paid", {"invoice": 7, "run": "$run_id"}, run_id="r1"))
    for payload in ({}, {"invoice": 7}, {"invoice": "7", "run": "r1"}, {"invoice": 7, "run": "r2"}):
        place.signal("paid", payload)
    assert place.perform(one) is None

    place.signal("paid", {"invoice": 7, "run": "r1", "more": True})
    assert place.perform(one) == "cancelled_by_signal"


def test_reading_another_notification_takes_nothing_back(place: Place) -> None:
    one = place.there(waits_for(READ))
    place.signal(READ, {"notification_id": new_id()})
    assert place.perform(one) is None

    # By the clock of another host, it was read before it was there.
    place.signal(
        READ, {"notification_id": one.notification_id}, occurred_at=one.created_at - timedelta(seconds=5)
    )
    assert place.perform(one) == "cancelled_by_signal"


def statements(database: Database, work: Callable[[], Any]) -> int:
    seen: list[str] = []

    def note(*args: Any) -> None:
        seen.append(args[2])

    event.listen(database.engine, "before_cursor_execute", note)
    work()
    event.remove(database.engine, "before_cursor_execute", note)
    return len([one for one in seen if "SELECT" in one])


def test_five_hundred_recipients_take_a_handful_of_statements(place: Place) -> None:
    def store(connection: Connection) -> None:
        for number in range(0, 500, 5):
            write_delivery_cap(connection, Whose("default", f"r{number}"), DeliveryCap(1, 3600), NOW)
            write_preference(connection, Whose("default", f"r{number + 1}"), Preference(enabled=False), NOW)

    place.database.write(store)
    asked = [
        throttled(recipient_identity=f"r{number}", channel=name)
        for number in range(500)
        for name in ("email", "sms")
    ]
    decided: list[Sequence[str | None]] = []

    assert statements(place.database, lambda: decided.append(place.plan(*asked))) <= 6
    assert decided[0][:6] == [
        None,
        "delivery_cap_reached",
        "channel_disabled",
        "channel_disabled",
        None,
        None,
    ]


@pytest.mark.parametrize("limited_by", ["cap", "throttle"])
def test_of_two_that_are_about_to_be_sent_at_once_one_is_above_the_limit(
    place: Place, limited_by: str
) -> None:
    if limited_by == "cap":
        place.cap(1)
    facts = {"throttle": Throttle(1, 3600).to_dict()} if limited_by == "throttle" else {}
    both = [place.there(a_delivery(**facts)) for _ in range(2)]
    together = threading.Barrier(2)

    def claim(connection: Connection, one: Delivery) -> Decision:
        decision = decide_one(connection, one, NOW)
        if isinstance(decision, Proceed):
            mine = update(deliveries).where(deliveries.c.id == one.delivery_id)
            connection.execute(mine.values(status="dispatched"))
            # Long enough for the other one to decide, if nothing keeps it from that.
            time.sleep(0.2)
        return decision

    def at_once(one: Delivery) -> str | None:
        together.wait(10)
        return _word(place.database.write(claim, one))

    with ThreadPoolExecutor(2) as threads:
        words = list(threads.map(at_once, both))

    assert sorted(words, key=str) == [None, "delivery_cap_reached" if limited_by == "cap" else "throttled"]
