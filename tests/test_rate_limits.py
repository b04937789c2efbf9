from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aquila.rate_limits import RateLimits, read_rate_limits, read_retry_after

DATE = "Tue, 24 Nov 2026 12:00:00 GMT"
NOON = 1_795_521_600


def reset(value: str, **headers: str) -> float | None:
    limits = read_rate_limits({"x-ratelimit-limit-tokens": "9", "x-ratelimit-reset-tokens": value, **headers})
    assert limits is not None
    return limits.reset_tokens


def test_openai_s_headers_are_read_whole() -> None:
    limits = read_rate_limits(
        {
            "x-ratelimit-limit-requests": "5000",
            "x-ratelimit-remaining-requests": "4999",
            "x-ratelimit-reset-requests": "12ms",
            "x-ratelimit-limit-tokens": "800000",
            "x-ratelimit-remaining-tokens": "0",
            "x-ratelimit-reset-tokens": "6m0s",
        }
    )

    assert limits == RateLimits(
        limit_requests=5000,
        remaining_requests=4999,
        reset_requests=0.012,
        limit_tokens=800000,
        remaining_tokens=0,
        reset_tokens=360.0,
    )
    assert limits.pause == 360.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("12ms", 0.012), ("1s", 1.0), ("6m0s", 360.0), ("1h2m", 3720.0), ("1d", 86400.0), ("2m59.56s", 179.56),
        ("7.66s", 7.66), ("60", 60.0), ("0", 0.0), ("0.5", 0.5), ("-1", None), ("soon", None), ("1 s", None),
        ("s", None), ("1s2", None), ("", None),
    ],
)  # fmt: skip
def test_a_reset_is_a_duration_in_any_notation(value: str, seconds: float | None) -> None:
    assert reset(value) == (seconds if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(f"{NOON + 90}", 90.0), (f"{NOON + 90}000", 90.0), (f"{NOON + 90}.5", 90.5), (f"{NOON - 5}", 0.0)],
)
def test_a_moment_since_1970_is_measured_against_the_answer_s_own_date(value: str, seconds: float) -> None:
    assert reset(value, date=DATE) == seconds
    assert reset(value) is None
    assert reset(value, date="yesterday") is None


def test_names_without_a_kind_stand_for_requests() -> None:
    limits = read_rate_limits(
        {
            "x-ratelimit-limit": "20",
            "x-ratelimit-remaining": "0",
            "x-ratelimit-reset": f"{NOON + 60}000",
            "date": DATE,
        }
    )

    assert limits == RateLimits(limit_requests=20, remaining_requests=0, reset_requests=60.0)
    assert read_rate_limits({"ratelimit-remaining": "3"}) == RateLimits(remaining_requests=3)


@pytest.mark.parametrize("unknown", ["-1", "0"])
def test_what_azure_does_not_count_is_unknown_and_no_reason_to_wait(unknown: str) -> None:
    headers = {f"x-ratelimit-{what}-requests": unknown for what in ("limit", "remaining", "reset")}

    assert read_rate_limits(headers) is None
    assert read_rate_limits({"x-ratelimit-remaining-requests": "-1"}) is None
    assert read_rate_limits({**headers, "x-ratelimit-remaining-tokens": "58"}) == RateLimits(
        remaining_tokens=58
    )


def test_nothing_remaining_without_a_reset_is_no_reason_to_wait() -> None:
    assert RateLimits(remaining_requests=0).pause == 0.0
    assert RateLimits(remaining_requests=1, reset_requests=9.0).pause == 0.0
    assert (
        RateLimits(remaining_requests=0, reset_requests=2.0, remaining_tokens=0, reset_tokens=9.0).pause
        == 9.0
    )


def test_headers_that_say_nothing_give_nothing() -> None:
    assert read_rate_limits({"content-type": "text/event-stream", "x-ratelimit-limit-requests": ""}) is None


@given(
    st.dictionaries(st.sampled_from(["limit", "remaining", "reset"]), st.text(max_size=20)),
    st.text(max_size=30),
)
def test_no_header_breaks_the_reading(said: dict[str, str], date: str) -> None:
    headers = {f"x-ratelimit-{what}-tokens": value for what, value in said.items()}

    limits = read_rate_limits({**headers, "date": date, "retry-after": date})

    assert limits is None or limits.pause >= 0.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 0.5 "}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after": "Tue, 24 Nov 2026 12:00:30 GMT", "date": DATE}, 30.0),
        ({"retry-after": "Tue, 24 Nov 2026 11:00:00 GMT", "date": DATE}, 0.0),
        ({"retry-after": "Tue Nov 24 12:00:30 2026", "date": DATE}, 30.0),
        ({"retry-after": "Tue, 24 Nov 2026 12:00:30 -0000", "date": DATE}, 30.0),
        ({"retry-after": "Tue, 24 Nov 2026 12:00:30 GMT"}, None),
        ({"retry-after": "later"}, None),
    ],
)
def test_the_pause_a_provider_asks_for_is_read_in_every_form(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert read_retry_after(headers) == seconds
