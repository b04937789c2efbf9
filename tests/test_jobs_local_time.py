from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from jobs.local_time import clock_time, due_time, full_time, local_zone, span

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # A rule, not a name: a machine may have no names of zones.
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_times_are_those_of_this_machine() -> None:
    assert local_zone(NOON).tzname(NOON) == "CET"
    assert full_time(NOON, NOON) == "2026-11-24 13:00:00"


def test_times_that_are_shown_together_have_one_offset() -> None:
    summer = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)

    assert full_time(summer, NOON) == "2026-07-01 13:00:00"
    assert full_time(summer, summer) == "2026-07-01 14:00:00"


def test_a_time_of_today_needs_no_date() -> None:
    assert clock_time(NOON, NOON) == "13:00:00"
    # Today in UTC, tomorrow here.
    assert clock_time(NOON.replace(hour=23, minute=30), NOON) == "2026-11-25 00:30:00"


def test_what_is_due_is_told_with_the_time_until_then() -> None:
    assert due_time(NOON + timedelta(seconds=11.2), NOON) == "at 13:00:11 (in 12 s)"
    assert due_time(NOON, NOON) == "now"
    assert due_time(NOON - timedelta(days=1), NOON) == "now"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.1, "1 s"), (119, "119 s"), (120, "2 min"), (7199, "120 min"), (7200, "2 h"), (259_200, "3 d")],
)
def test_a_span_has_the_unit_that_suits_it(seconds: float, said: str) -> None:
    assert span(seconds) == said
