from __future__ import annotations

import sys
import zoneinfo
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from aquila.errors import ConfigError
from jobs import ticks
from jobs.ticks import MOST_MISSED, Missed, parse, wanted

BERLIN = ZoneInfo("Europe/Berlin")
#: The nights in which the clocks of Berlin change.
SPRING = (datetime(2026, 3, 28, 23, tzinfo=UTC), datetime(2026, 3, 29, 2, tzinfo=UTC))
AUTUMN = (datetime(2026, 10, 24, 22, tzinfo=UTC), datetime(2026, 10, 25, 3, tzinfo=UTC))
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def berlin(expression: str, night: tuple[datetime, datetime]) -> list[str]:
    found = parse(expression, "Europe/Berlin").between(*night)
    return [tick.astimezone(BERLIN).strftime("%H:%M%z")[:-2] for tick in found]


def test_five_fields_tick_by_the_minute() -> None:
    schedule = parse("*/20 * * * *")

    assert schedule.after(NOON) == NOON + timedelta(minutes=20)
    assert schedule.between(NOON, NOON + timedelta(hours=1)) == [
        NOON + timedelta(minutes=minutes) for minutes in (20, 40, 60)
    ]


def test_six_fields_begin_with_the_seconds() -> None:
    assert parse("*/15 * * * * *").after(NOON) == NOON + timedelta(seconds=15)


def test_a_zone_says_whose_clock_is_meant() -> None:
    assert parse("0 9 * * *", "Europe/Berlin").after(NOON) == datetime(2026, 11, 25, 8, tzinfo=UTC)
    assert parse("0 9 * * *").after(NOON) == datetime(2026, 11, 25, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "plain"), [("@hourly", "0 * * * *"), ("@Daily", "0 0 * * *"), ("@weekly", "0 0 * * 0")]
)
def test_cron_s_own_names_are_known(name: str, plain: str) -> None:
    assert parse(name) == parse(plain)


def test_the_same_schedule_is_written_in_one_way() -> None:
    assert str(parse(" 0  3 * * mon ", "Europe/Berlin")) == "0 3 * * MON Europe/Berlin"


def test_a_time_that_the_spring_leaves_out_ticks_once_at_the_end_of_the_gap() -> None:
    assert berlin("30 2 * * *", SPRING) == ["03:00+02"]
    assert berlin("0,30 2,3 * * *", SPRING) == ["03:00+02", "03:30+02"]


def test_a_time_that_comes_twice_in_autumn_ticks_the_first_time() -> None:
    assert berlin("30 2 * * *", AUTUMN) == ["02:30+02"]


def test_what_begins_with_a_star_goes_by_the_time_that_passes() -> None:
    assert berlin("0 * * * *", SPRING) == ["01:00+01", "03:00+02", "04:00+02"]
    assert berlin("0 * * * *", AUTUMN) == ["01:00+02", "02:00+02", "02:00+01", "03:00+01", "04:00+01"]
    assert berlin("*/30 2 * * *", SPRING) == []
    assert berlin("*/30 2 * * *", AUTUMN) == ["02:00+02", "02:30+02", "02:00+01", "02:30+01"]


def test_six_fields_tick_as_the_clock_shows() -> None:
    assert berlin("0 30 2 * * *", SPRING) == []
    assert berlin("0 30 2 * * *", AUTUMN) == ["02:30+02", "02:30+01"]


@pytest.mark.parametrize("night", [SPRING, AUTUMN], ids=["spring", "autumn"])
@pytest.mark.parametrize(
    "expression",
    ["30 2 * * *", "*/7 * * * *", "0,30 2,3 * * *", "*/30 2 * * *", "0 30 2 * * *", "15 1-4 * * *"],
)
def test_whoever_looks_and_whenever_finds_the_same_ticks(
    expression: str, night: tuple[datetime, datetime]
) -> None:
    schedule = parse(expression, "Europe/Berlin")
    start, end = night[0] - timedelta(hours=30), night[1] + timedelta(hours=30)
    at_once = schedule.between(start, end)

    bit_by_bit, last, now = [], start, start
    while now < end:
        now = min(end, now + timedelta(minutes=17))
        bit_by_bit += (found := schedule.between(last, now))
        last = found[-1] if found else last

    assert bit_by_bit == at_once
    assert at_once
    assert at_once == sorted(set(at_once))
    for moment in (start + timedelta(minutes=13 * n) for n in range(280)):
        assert schedule.after(moment) > moment


def test_of_too_many_ticks_the_newest_are_kept() -> None:
    found = parse("* * * * * *", "Europe/Berlin").between(NOON - timedelta(days=40), NOON)

    assert len(found) == MOST_MISSED
    assert found[-1] == NOON
    assert found[0] == NOON - timedelta(seconds=MOST_MISSED - 1)


def test_a_clock_that_was_set_back_makes_no_ticks() -> None:
    assert parse("* * * * *").between(NOON, NOON - timedelta(hours=3)) == []


def test_rare_ticks_are_found() -> None:
    leap = parse("0 0 29 2 *")

    assert leap.after(NOON) == datetime(2028, 2, 29, tzinfo=UTC)
    assert leap.between(datetime(2023, 1, 1, tzinfo=UTC), NOON) == [datetime(2024, 2, 29, tzinfo=UTC)]


@pytest.mark.parametrize(
    ("missed", "expected"), [("latest", [NOON]), ("all", [NOON - timedelta(minutes=9), NOON]), ("skip", [])]
)
def test_missed_ticks_are_made_up_for_as_it_was_said(missed: Missed, expected: list[datetime]) -> None:
    passed = [NOON - timedelta(minutes=9), NOON]

    assert list(wanted(passed, NOON, missed=missed, late=60.0)) == expected


@pytest.mark.parametrize("missed", ticks.MISSED)
def test_ticks_that_are_only_late_are_all_wanted(missed: Missed) -> None:
    passed = [NOON - timedelta(seconds=20), NOON - timedelta(seconds=10)]

    assert list(wanted(passed, NOON, missed=missed, late=60.0)) == passed


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("61 * * * *", "Bad minute; write five fields"),
        ("* * * *", "Wrong number of fields; write five fields"),
        ("every day", "Wrong number of fields"),
        ("0 0 30 2 *", "Bad day-of-month"),
        (5, "is a text like"),
    ],
)
def test_an_expression_that_cannot_be_read_is_refused(expression: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse(expression)


@pytest.mark.parametrize("tz", ["Europe/Atlantis", "../etc/passwd", "", None])
def test_an_unknown_zone_is_refused(tz: str) -> None:
    with pytest.raises(ConfigError, match=r"there is no time zone tz=.*Europe/Berlin"):
        parse("* * * * *", tz)


def test_a_machine_without_zones_is_named_as_the_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tzdata", None)
    ZoneInfo.clear_cache()
    zoneinfo.reset_tzpath(to=[])
    try:
        with pytest.raises(ConfigError, match="pip install tzdata"):
            parse("* * * * *", "Europe/Madrid")
        assert parse("* * * * *", "UTC").after(NOON) == NOON + timedelta(minutes=1)
    finally:
        zoneinfo.reset_tzpath()
