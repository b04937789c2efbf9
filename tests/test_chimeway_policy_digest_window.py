from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aquila.errors import ConfigError
from chimeway.errors import NotifierInvalid
from chimeway.policy import Digest, group_of, window_of

MINUTE = timedelta(minutes=1)
ZONES = [
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Pacific/Apia",
    "UTC",
]
moments = st.integers(20 * 365 * 86_400, 70 * 365 * 86_400).map(
    lambda seconds: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)


def berlin(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Europe/Berlin"))


MORNING = Digest(daily_at="08:00", time_zone="Europe/Berlin")


def test_windows_of_minutes_are_the_same_for_everyone() -> None:
    now = datetime(2026, 11, 24, 10, 44, 59, tzinfo=UTC)

    assert window_of(Digest(minutes=15), now) == (
        now.replace(minute=30, second=0),
        now.replace(minute=45, second=0),
    )
    assert window_of(Digest(minutes=15), berlin("2026-11-24T11:31:00")) == window_of(Digest(minutes=15), now)
    assert window_of(Digest(), now) == (
        datetime(2026, 11, 24, 10, tzinfo=UTC),
        datetime(2026, 11, 24, 11, tzinfo=UTC),
    )


def test_what_comes_at_the_end_of_a_window_belongs_to_the_next() -> None:
    due = datetime(2026, 11, 24, 11, tzinfo=UTC)

    assert window_of(Digest(), due)[0] == due
    assert window_of(MORNING, berlin("2026-11-24T08:00:00"))[0] == berlin("2026-11-24T08:00:00")


def test_a_daily_window_goes_from_one_morning_to_the_next() -> None:
    window = (berlin("2026-11-24T08:00:00"), berlin("2026-11-25T08:00:00"))

    assert window_of(MORNING, berlin("2026-11-24T08:00:01")) == window
    assert window_of(MORNING, berlin("2026-11-25T07:59:59")) == window


@pytest.mark.parametrize(("day", "hours"), [("2026-03-28", 23), ("2026-10-24", 25), ("2026-11-24", 24)])
def test_a_daily_window_is_as_long_as_the_day(day: str, hours: int) -> None:
    start, due = window_of(MORNING, berlin(f"{day}T12:00:00"))

    assert due - start == timedelta(hours=hours)


def test_a_time_that_is_skipped_is_the_first_moment_after_the_gap_and_one_shown_twice_the_second() -> None:
    at_night = Digest(daily_at="02:30", time_zone="Europe/Berlin")

    assert window_of(at_night, berlin("2026-03-29T00:00:00"))[1] == datetime(2026, 3, 29, 1, 0, tzinfo=UTC)
    assert window_of(at_night, berlin("2026-10-25T00:00:00"))[1] == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)


@settings(max_examples=300, deadline=None)
@given(now=moments, minutes=st.integers(1, 31 * 1440))
def test_windows_of_minutes_follow_each_other_without_a_gap(now: datetime, minutes: int) -> None:
    start, due = window_of(Digest(minutes=minutes), now)

    assert start <= now < due
    assert due - start == minutes * MINUTE
    assert window_of(Digest(minutes=minutes), start) == (start, due)
    assert window_of(Digest(minutes=minutes), due)[0] == due


@settings(max_examples=300, deadline=None)
@given(now=moments, at=st.integers(0, 1439), zone=st.sampled_from(ZONES))
def test_daily_windows_follow_each_other_without_a_gap(now: datetime, at: int, zone: str) -> None:
    digest = Digest(daily_at=f"{at // 60:02}:{at % 60:02}", time_zone=zone)

    start, due = window_of(digest, now)

    assert start <= now < due
    assert due - start <= timedelta(hours=26)
    assert window_of(digest, start) == (start, due)
    assert window_of(digest, due)[0] == due
    assert window_of(digest, due - timedelta(microseconds=1)) == (start, due)


def test_what_is_gathered_together_has_the_same_value_of_a_parameter() -> None:
    by_document = Digest(group_by="document")

    assert group_of(by_document, {"document": "d1", "page": 2}) == "d1"
    assert group_of(by_document, {"document": 7}) == "7"
    assert group_of(by_document, {"document": {"b": 1, "a": [2]}}) == '{"a": [2], "b": 1}'
    assert group_of(by_document, {}) == group_of(by_document, {"document": None}) == ""
    assert group_of(Digest(), {"document": "d1"}) == ""


def test_a_long_value_of_a_parameter_has_a_short_name_of_its_own() -> None:
    by_text = Digest(group_by="text")
    names = {group_of(by_text, {"text": "x" * length}) for length in (256, 257, 5000)}

    assert len(names) == 3
    assert all(len(name) <= 255 for name in names)


def test_a_digest_comes_back_from_json_as_it_was() -> None:
    digest = Digest(
        daily_at="08:00", time_zone="Europe/Berlin", group_by="d", channels=["email", "sms"], min_items=3
    )
    values: dict[str, Any] = json.loads(json.dumps(digest.to_dict()))

    assert Digest.from_dict(values) == digest
    assert Digest.from_dict({**values, "of_a_newer_version": 1}) == digest


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"minutes": 0}, "minutes=0 must be from 1"),
        ({"minutes": 44_641}, "minutes=44641 must be from 1 to 44640"),
        ({"minutes": True}, "minutes=True must be"),
        ({"minutes": 1.5}, "minutes=1.5 must be"),
        ({"minutes": 60, "daily_at": "08:00"}, "not both"),
        ({"daily_at": "8 o'clock"}, "daily_at=.* must be a time of the day"),
        ({"time_zone": "Mars/Base"}, "time_zone='Mars/Base' is unknown"),
        ({"channels": "email"}, "channels='email' must be names"),
        ({"channels": ()}, "must be names"),
        ({"channels": ("Email",)}, "channels holds 'Email'; a channel is up to 100 small letters"),
        ({"channels": (5,)}, "channels holds 5"),
        ({"channels": [["email"]]}, "channels holds"),
        ({"channels": 5}, "channels=5 must be names"),
        ({"min_items": 0}, "min_items=0 must be a number from 1"),
        ({"min_items": 100_001}, "min_items=100001 must be a number from 1 to 100,000"),
        ({"group_by": 5}, "group_by=5 must be the name of a parameter"),
        ({"group_by": " "}, "group_by=' ' must be the name of a parameter"),
        ({"group_by": "api_token"}, "group_by='api_token' is not kept, .* another name"),
        ({"subject": 5}, "subject is a text or None, not int"),
        ({"subject": ""}, "subject is a text of 1 to"),
        ({"subject": "{n"}, "subject='{n': .*; a brace of the text is written twice"),
        ({"instructions": 5}, "instructions is a text or None, not int"),
        ({"instructions": "a\x00b"}, "instructions is a text of 1 to"),
        ({"model": 5}, "model is a text or None, not int"),
        ({"time_zone": None}, "time_zone=None is unknown"),
    ],
)
def test_a_digest_that_cannot_be_is_refused_where_it_is_declared(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Digest(**options)


def test_channels_of_a_digest_are_in_one_order_and_each_there_once() -> None:
    assert Digest(channels=["sms", "email", "sms"]).channels == ("sms", "email")
    assert Digest(channels={"sms", "email", "chat"}).channels == ("chat", "email", "sms")  # type: ignore[arg-type]


def test_a_digest_of_both_kinds_is_a_notifier_that_cannot_be_used() -> None:
    with pytest.raises(NotifierInvalid):
        Digest(minutes=1, daily_at="08:00")


def test_a_day_that_a_zone_skips_ends_no_window_twice() -> None:
    samoa = ZoneInfo("Pacific/Apia")
    digest = Digest(daily_at="00:00", time_zone="Pacific/Apia")

    start, due = window_of(digest, datetime(2011, 12, 29, 12, tzinfo=samoa))

    assert start == datetime(2011, 12, 29, tzinfo=samoa)
    assert due == datetime(2011, 12, 31, tzinfo=samoa)
    assert window_of(digest, due)[1].astimezone(samoa).date() == date(2012, 1, 1)
