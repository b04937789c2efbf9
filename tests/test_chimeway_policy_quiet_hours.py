from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aquila.errors import ConfigError
from chimeway.policy import QuietHours, defer_until
from chimeway.policy.wall_clock import clock_of, minute_of, moment_of, zone_of

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
#: Zones with an hour, half an hour, a whole day and nothing to skip, on both halves of the world, and dates on which they do.
NIGHTS = [
    ("Europe/Berlin", date(2026, 3, 29)),
    ("Europe/Berlin", date(2026, 10, 25)),
    ("America/New_York", date(2026, 11, 1)),
    ("America/Sao_Paulo", date(2018, 11, 4)),
    ("Australia/Lord_Howe", date(2026, 4, 5)),
    ("Australia/Lord_Howe", date(2026, 10, 4)),
    ("Asia/Beirut", date(2026, 3, 29)),
    ("Africa/Cairo", date(2026, 10, 30)),
    ("Pacific/Apia", date(2011, 12, 30)),
    # Midnight is shown twice, and the evening before it between.
    ("America/St_Johns", date(2010, 11, 7)),
    ("Asia/Kathmandu", date(2026, 6, 1)),
    ("UTC", date(2026, 12, 31)),
]


def berlin(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Europe/Berlin"))


def night(start: str = "22:00", end: str = "07:00", time_zone: str = "Europe/Berlin") -> QuietHours:
    return QuietHours(start=minute_of(start, "start"), end=minute_of(end, "end"), time_zone=time_zone)


@cache
def shown(zone: str, around: date) -> list[tuple[datetime, datetime]]:
    """Each minute of some days, with what the clock on the wall shows then."""
    first = datetime.combine(around - 4 * DAY, time(), tzinfo=UTC)
    minutes = [first + number * MINUTE for number in range(9 * 24 * 60)]
    return [(moment, moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)) for moment in minutes]


def quiet_minutes(quiet: QuietHours, around: date) -> set[datetime]:
    """Find the quiet minutes by looking at the clock on the wall minute by minute, for the days about a date."""
    minutes = shown(quiet.time_zone, around)
    found: set[datetime] = set()
    for days in range(-3, 4):
        midnight = datetime.combine(around + days * DAY, time())
        start = midnight + quiet.start * MINUTE
        end = midnight + quiet.end * MINUTE + (DAY if quiet.end <= quiet.start else timedelta())
        begins = next(moment for moment, wall in minutes if wall >= start)
        # The first minute after which the clock never shows a time before the end.
        ends = max(moment for moment, wall in minutes if wall < end) + MINUTE
        last_shown = [moment for moment, wall in minutes if wall == end]
        ends = last_shown[-1] if last_shown else ends
        found |= {moment for moment, _ in minutes if begins <= moment < ends}
    return found


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-11-24T21:59:59", None),
        ("2026-11-24T22:00:00", "2026-11-25T07:00:00"),
        ("2026-11-24T23:59:59", "2026-11-25T07:00:00"),
        ("2026-11-25T00:00:00", "2026-11-25T07:00:00"),
        ("2026-11-25T06:59:59.999999", "2026-11-25T07:00:00"),
        ("2026-11-25T07:00:00", None),
    ],
)
def test_a_night_begins_at_its_first_minute_and_ends_before_its_last(now: str, until: str | None) -> None:
    assert defer_until(night(), berlin(now)) == (berlin(until) if until else None)


def test_quiet_hours_of_one_day_end_on_it() -> None:
    assert defer_until(night("12:30", "13:15"), berlin("2026-11-24T13:14:30")) == berlin(
        "2026-11-24T13:15:00"
    )
    assert defer_until(night("12:30", "13:15"), berlin("2026-11-24T13:15:00")) is None
    assert defer_until(night("12:30", "13:15"), berlin("2026-11-24T00:00:00")) is None


def test_an_end_that_is_the_start_means_no_quiet_hours() -> None:
    assert defer_until(night("08:00", "08:00"), berlin("2026-11-24T08:00:00")) is None


def test_the_end_is_a_time_in_utc() -> None:
    until = defer_until(night(), datetime(2026, 11, 24, 22, 0, tzinfo=UTC))

    assert until == datetime(2026, 11, 25, 6, 0, tzinfo=UTC)
    assert until is not None
    assert until.tzinfo is UTC


def test_an_end_that_clocks_skip_is_the_first_moment_after_the_gap() -> None:
    # 02:00 becomes 03:00.
    assert defer_until(night(end="02:30"), berlin("2026-03-29T01:59:00")) == berlin("2026-03-29T03:00:00")


def test_an_end_that_clocks_show_twice_is_the_second() -> None:
    # 03:00 becomes 02:00.
    until = defer_until(night(end="02:30"), berlin("2026-10-25T01:00:00"))

    assert until == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    assert defer_until(night(end="02:30"), datetime(2026, 10, 25, 0, 45, tzinfo=UTC)) == until
    assert defer_until(night(end="02:30"), datetime(2026, 10, 25, 1, 30, tzinfo=UTC)) is None


def test_a_start_that_clocks_show_twice_is_the_first() -> None:
    between = datetime(2026, 10, 25, 1, 15, tzinfo=UTC)

    assert defer_until(night("02:30", "06:00"), datetime(2026, 10, 25, 0, 30, tzinfo=UTC)) is not None
    assert defer_until(night("02:30", "06:00"), between) == berlin("2026-10-25T06:00:00")


def test_quiet_hours_that_lie_in_a_gap_are_none_that_day() -> None:
    assert defer_until(night("02:15", "02:45"), berlin("2026-03-29T03:00:00")) is None
    assert defer_until(night("02:15", "02:45"), berlin("2026-03-29T01:59:59")) is None


def test_a_night_before_a_day_that_a_zone_skips_goes_on_until_the_morning_after_it() -> None:
    samoa = ZoneInfo("Pacific/Apia")

    until = defer_until(night(time_zone="Pacific/Apia"), datetime(2011, 12, 29, 23, 0, tzinfo=samoa))

    assert until == datetime(2011, 12, 31, 7, 0, tzinfo=samoa)


@settings(max_examples=150, deadline=None)
@given(
    place=st.sampled_from(NIGHTS),
    start=st.integers(0, 1439),
    end=st.integers(0, 1439),
    at=st.integers(-1440, 2 * 1440),
    second=st.integers(0, 59),
)
@example(place=NIGHTS[1], start=150, end=135, at=0, second=30)
@example(place=NIGHTS[8], start=0, end=1439, at=-1, second=0)
@example(place=NIGHTS[9], start=0, end=30, at=180, second=0)
def test_the_end_is_the_first_minute_that_is_not_quiet(
    place: tuple[str, date], start: int, end: int, at: int, second: int
) -> None:
    zone, around = place
    quiet = QuietHours(start=start, end=end, time_zone=zone)
    now = datetime.combine(around, time(), tzinfo=UTC) + at * MINUTE + timedelta(seconds=second)
    of_all = quiet_minutes(quiet, around) if start != end else set()

    until = defer_until(quiet, now)

    minute = now - timedelta(seconds=second)
    if minute not in of_all:
        assert until is None
        return
    while minute in of_all:
        minute += MINUTE
    assert until == minute
    assert until > now
    assert defer_until(quiet, until) is None


@settings(max_examples=300, deadline=None)
@given(
    zone=st.sampled_from(["America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "Pacific/Chatham"]),
    minutes=st.integers(20 * 365 * 1440, 70 * 365 * 1440),
    start=st.integers(0, 1439),
    end=st.integers(0, 1439),
)
def test_a_deferred_moment_lies_ahead_within_two_days_and_is_not_quiet(
    zone: str, minutes: int, start: int, end: int
) -> None:
    now = datetime(1970, 1, 1, tzinfo=UTC) + minutes * MINUTE
    until = defer_until(QuietHours(start=start, end=end, time_zone=zone), now)

    if until is not None:
        assert now < until <= now + 2 * DAY
        assert defer_until(QuietHours(start=start, end=end, time_zone=zone), until) is None


@pytest.mark.parametrize(
    "text", ["24:00", "7", "07:60", "07:00:00", " 07:00", "", "\u0660\u0667:\u0660\u0660", 700, None]
)
def test_a_time_that_is_none_is_named(text: object) -> None:
    with pytest.raises(ConfigError, match=r"start=.* must be a time of the day as HH:MM"):
        minute_of(text, "start")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name", ["", "Europe", "Mars/Base", "../etc/passwd", "/etc/passwd", "x" * 101, 7, None]
)
def test_a_zone_that_is_none_is_named(name: object) -> None:
    with pytest.raises(ConfigError, match=r"time_zone=.* is unknown; write a name such as 'Europe/Berlin'"):
        zone_of(name)  # type: ignore[arg-type]


def test_times_are_written_as_they_are_read() -> None:
    assert [clock_of(minute_of(text, "at")) for text in ("00:00", "7:05", "23:59")] == [
        "00:00",
        "07:05",
        "23:59",
    ]
    assert night().to_dict() == {"start": "22:00", "end": "07:00", "time_zone": "Europe/Berlin"}


@pytest.mark.parametrize("later", [True, False])
def test_a_moment_that_clocks_show_once_is_that_one(*, later: bool) -> None:
    zone = ZoneInfo("Europe/Berlin")

    assert moment_of(date(2026, 11, 24), 450, zone, later=later) == datetime(2026, 11, 24, 6, 30, tzinfo=UTC)
