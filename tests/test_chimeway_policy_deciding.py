from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aquila.errors import ConfigError
from chimeway.errors import NotifierInvalid
from chimeway.policy import (
    CancellingSignal,
    Defer,
    DeliveryCap,
    PolicyFacts,
    Preference,
    Proceed,
    QuietHours,
    Suppress,
    Throttle,
    category_preference,
    channel_preference,
    decide,
)

NOW = datetime(2026, 11, 24, 23, 30, tzinfo=UTC)
NO = Preference(enabled=False)
#: Everything speaks against it, in the order in which it decides.
AGAINST: dict[str, dict[str, Any]] = {
    "channel_disabled": {"channel_preference": NO},
    "category_disabled": {"category_preference": NO},
    "throttled": {"throttle": Throttle(1, 60), "throttle_count": 1},
    "delivery_cap_reached": {"cap": DeliveryCap(3, 3600), "cap_count": 3},
    "quiet_hours": {"quiet_hours": QuietHours(start=22 * 60, end=7 * 60, time_zone="UTC")},
    "already_read": {"only_unread": True, "read_at": NOW - timedelta(minutes=1)},
    "cancelled_by_signal": {"cancelled_by": CancellingSignal(signal_id="s", event_name="paid")},
}
AT_THE_END = ["already_read", "cancelled_by_signal"]


def facts(*reasons: str, **more: Any) -> PolicyFacts:
    given: dict[str, Any] = {"channel": "email"}
    for reason in reasons:
        given |= AGAINST[reason]
    return PolicyFacts(**given | more)


def reason_of(decision: Proceed | Suppress | Defer) -> str | None:
    return None if isinstance(decision, Proceed) else decision.reason


def test_nothing_known_means_that_it_goes_out() -> None:
    assert decide("planning", facts(), NOW) == decide("perform", facts(), NOW) == Proceed()


@pytest.mark.parametrize("number", range(len(AGAINST)))
def test_the_first_reason_decides(number: int) -> None:
    reasons = list(AGAINST)[number:]

    assert reason_of(decide("perform", facts(*reasons), NOW)) == reasons[0]


@pytest.mark.parametrize("reason", [reason for reason in AGAINST if reason not in AT_THE_END])
def test_a_reason_holds_at_both_checkpoints(reason: str) -> None:
    assert reason_of(decide("planning", facts(reason), NOW)) == reason
    assert reason_of(decide("perform", facts(reason), NOW)) == reason


def test_what_was_read_and_what_a_signal_took_back_is_seen_at_the_last_moment() -> None:
    assert decide("planning", facts(*AT_THE_END), NOW) == Proceed()
    assert reason_of(decide("perform", facts("cancelled_by_signal"), NOW)) == "cancelled_by_signal"
    assert decide("perform", facts("already_read", only_unread=False), NOW) == Proceed()
    assert decide("perform", facts("already_read", read_at=None), NOW) == Proceed()


def test_quiet_hours_put_off_and_all_else_ends_it() -> None:
    decision = decide("planning", facts("quiet_hours"), NOW)

    assert decision == Defer(
        datetime(2026, 11, 25, 7, tzinfo=UTC),
        "quiet_hours",
        {"start": "22:00", "end": "07:00", "time_zone": "UTC"},
    )
    assert all(
        isinstance(decide("perform", facts(one), NOW), Suppress) for one in AGAINST if one != "quiet_hours"
    )


def test_what_is_critical_heeds_only_its_notifier() -> None:
    of_the_recipient = ["channel_disabled", "category_disabled", "delivery_cap_reached", "quiet_hours"]

    assert decide("perform", facts(*of_the_recipient, critical=True), NOW) == Proceed()
    for reason in ("throttled", *AT_THE_END):
        assert reason_of(decide("perform", facts(reason, critical=True), NOW)) == reason


def test_the_inbox_is_neither_kept_back_by_caps_nor_by_the_night() -> None:
    quiet = facts("delivery_cap_reached", "quiet_hours", channel="in_app")

    assert decide("perform", quiet, NOW) == Proceed()
    assert (
        reason_of(decide("perform", facts("channel_disabled", channel="in_app"), NOW)) == "channel_disabled"
    )


def test_what_is_held_for_a_digest_is_asked_only_whether_it_is_wanted() -> None:
    held = facts("throttled", "delivery_cap_reached", "quiet_hours", held=True)

    assert decide("planning", held, NOW) == Proceed()
    assert reason_of(decide("planning", replace(held, channel_preference=NO), NOW)) == "channel_disabled"


def test_one_less_than_the_limit_goes_out() -> None:
    assert decide("planning", facts("throttled", throttle_count=0), NOW) == Proceed()
    assert decide("planning", facts("delivery_cap_reached", cap_count=2), NOW) == Proceed()


@pytest.mark.parametrize(
    ("reason", "context"),
    [
        ("channel_disabled", {"preference": {"enabled": False}}),
        ("throttled", {"limit": 1, "seconds": 60, "key": None, "others": 1}),
        ("delivery_cap_reached", {"count": 3, "seconds": 3600, "others": 3}),
        ("already_read", {"read_at": "2026-11-24T23:29:00+00:00"}),
        ("cancelled_by_signal", {"signal": "paid", "signal_id": "s"}),
    ],
)
def test_a_reason_tells_its_facts(reason: str, context: dict[str, Any]) -> None:
    decision = decide("perform", facts(reason), NOW)

    assert isinstance(decision, Suppress)
    assert decision.context == context


def yes(**names: str) -> Preference:
    return Preference(enabled=True, **names)


def no(**names: str) -> Preference:
    return Preference(enabled=False, **names)


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ([], True),
        ([no()], False),
        ([no(channel="sms"), no(notification_key="other"), no(notification_key="k", channel="sms")], True),
        ([no(category="k"), no(category="k", channel="email")], True),
        # More names decide.
        ([no(), yes(channel="email")], True),
        ([no(), yes(notification_key="k")], True),
        (
            [no(), no(channel="email"), no(notification_key="k"), yes(notification_key="k", channel="email")],
            True,
        ),
        (
            [
                yes(),
                yes(channel="email"),
                yes(notification_key="k"),
                no(notification_key="k", channel="email"),
            ],
            False,
        ),
        # As many names: the no decides.
        ([no(channel="email"), yes(notification_key="k")], False),
        ([yes(channel="email"), no(notification_key="k")], False),
    ],
)
def test_the_word_that_names_more_decides_and_else_the_no(said: list[Preference], *, wanted: bool) -> None:
    for known in (said, said[::-1]):
        found = channel_preference(known, "k", "email")
        assert (found is None or found.enabled) is wanted


def test_a_category_is_decided_by_what_names_the_channel_too() -> None:
    said = [no(category="news"), yes(category="news", channel="email"), no(channel="email")]

    assert category_preference(said, "news", "email") == yes(category="news", channel="email")
    assert category_preference(said, "news", "sms") == no(category="news")
    assert category_preference(said, "billing", "sms") is None
    assert category_preference(said, None, "email") is None


def test_a_throttle_counts_by_the_value_of_its_key() -> None:
    throttle = Throttle(1, 60, key="document")

    assert throttle.value_of({"document": {"b": 1, "a": 2}}) == throttle.value_of(
        {"document": {"a": 2, "b": 1}}
    )
    assert len({throttle.value_of({"document": value}) for value in ("1", 1, None, [1])}) == 4
    assert throttle.value_of({}) == throttle.value_of({"document": None})
    assert Throttle(1, 60).value_of({"document": 1}) == ""
    assert Throttle.from_dict(throttle.to_dict()) == throttle


@pytest.mark.parametrize(
    "given",
    [
        *((0, 60), (1, 0), (1, 0.5), (1.0, 60), (True, 60), ("1", 60), (1, 10**9)),
        *((1, 60, ""), (1, 60, 7), (1, 60, "token"), (1, 60, "userPassword"), (1, 60, "a\x00b")),
    ],
)
def test_a_throttle_that_cannot_be_is_refused(given: tuple[Any, ...]) -> None:
    with pytest.raises(NotifierInvalid, match=r"Throttle"):
        Throttle(*given)


@pytest.mark.parametrize("given", [(0, 60), (1, -1), (1.5, 60), (True, 60), (2**31, 60)])
def test_a_cap_that_cannot_be_is_refused(given: tuple[Any, ...]) -> None:
    with pytest.raises(ConfigError, match=r"a delivery cap of .* must be a number from 1"):
        DeliveryCap(*given)
