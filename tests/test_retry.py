from __future__ import annotations

import pytest

from aquila.errors import (
    AquilaError,
    AuthenticationError,
    ConnectionFailed,
    QuotaExceededError,
    RateLimitError,
)
from aquila.retry import Retry

LOST = ConnectionFailed("gone")


def test_pauses_double_up_to_their_bound_and_then_it_is_over() -> None:
    retry = Retry(max_retries=6)

    assert [retry.delay(attempt, LOST) for attempt in range(1, 8)] == [0.5, 1, 2, 4, 8, 8, None]


def test_a_pause_stays_at_its_bound_however_often_it_would_have_doubled() -> None:
    assert Retry(max_retries=5000).delay(5000, LOST) == 8


def test_jitter_takes_off_at_most_a_quarter() -> None:
    assert Retry().delay(1, LOST, jitter=1.0) == 0.375


@pytest.mark.parametrize(
    ("error", "delay"),
    [
        pytest.param(RateLimitError("x", status_code=429, retry_after=7.0), 7.0, id="as asked"),
        pytest.param(RateLimitError("x", status_code=429, retry_after=0.0), 0.0, id="at once"),
        pytest.param(RateLimitError("x", status_code=429, retry_after=61.0), None, id="too long a wait"),
        pytest.param(RateLimitError("x", status_code=429), 0.5, id="not said"),
        pytest.param(QuotaExceededError("x", status_code=429, retry_after=1.0), None, id="quota"),
        pytest.param(AuthenticationError("x", status_code=401), None, id="wrong key"),
    ],
)
def test_the_provider_s_word_counts(error: AquilaError, delay: float | None) -> None:
    assert Retry().delay(1, error) == delay
