from __future__ import annotations

import pytest

from aquila.errors import (
    AuthenticationError,
    BadRequestError,
    CassetteMissing,
    ConfigError,
    ConnectionFailed,
    ContextLengthError,
    IdleTimeout,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    StreamTruncated,
)
from jobs.errors import BudgetExceeded
from jobs.policy import MAX_BACKOFF, Again, GiveUp, decide

FINAL = [
    AuthenticationError("no", status_code=401),
    BadRequestError("no", status_code=400),
    CassetteMissing("no"),
    ConfigError("no"),
    ContextLengthError("no", status_code=400),
    NotFoundError("no", status_code=404),
    PermissionDeniedError("no", status_code=403),
    QuotaExceededError("no", status_code=429, retry_after=1.0),
]
PASSING = [
    ConnectionFailed("no"),
    IdleTimeout("no", seconds=30.0),
    OverloadedError("no", status_code=503),
    StreamTruncated("no"),
    ValueError("no"),
    KeyError("no"),
]


def verdict(error: BaseException, *, attempt: int = 1, jitter: float = 0.0) -> Again | GiveUp:
    return decide(error, attempt=attempt, max_attempts=5, backoff=2.0, jitter=jitter)


@pytest.mark.parametrize("error", FINAL, ids=lambda error: type(error).__name__)
def test_what_no_attempt_cures_is_given_up_at_once(error: Exception) -> None:
    assert isinstance(verdict(error), GiveUp)


@pytest.mark.parametrize("error", PASSING, ids=lambda error: type(error).__name__)
def test_anything_else_runs_again(error: Exception) -> None:
    assert verdict(error) == Again(2.0)


def test_the_back_off_doubles_up_to_five_minutes() -> None:
    delays = [decide(ValueError(), attempt=n, max_attempts=99, backoff=2.0, jitter=0.0) for n in range(1, 12)]

    assert delays[:4] == [Again(2.0), Again(4.0), Again(8.0), Again(16.0)]
    assert delays[-1] == Again(MAX_BACKOFF)


def test_jitter_spreads_jobs_that_failed_together() -> None:
    assert verdict(ValueError(), jitter=0.8) == Again(2.4)


def test_a_provider_that_says_when_is_obeyed() -> None:
    limited = RateLimitError("no", status_code=429, retry_after=40.0)

    assert verdict(limited, jitter=0.5) == Again(40.5, counts=False)


def test_a_busy_server_that_says_when_is_obeyed_and_counts() -> None:
    busy = OverloadedError("later", status_code=503, retry_after=40.0)

    assert verdict(busy, jitter=0.5) == Again(40.5)
    assert verdict(busy, attempt=5) == GiveUp("attempt 5 of 5 failed")


def test_waiting_for_a_rate_limit_never_uses_the_attempts_up() -> None:
    limited = RateLimitError("no", status_code=429)

    assert verdict(limited, attempt=5) == Again(15.0, counts=False)


def test_a_rate_limit_that_lasts_a_day_counts_like_any_failure() -> None:
    limited = RateLimitError("no", status_code=429, retry_after=40.0)

    assert decide(limited, attempt=2, max_attempts=3, backoff=2.0, jitter=0.0, age=90_000) == Again(40.0)
    assert isinstance(decide(limited, attempt=3, max_attempts=3, backoff=2.0, jitter=0.0, age=90_000), GiveUp)


def test_a_used_up_budget_ends_the_job() -> None:
    assert isinstance(verdict(BudgetExceeded("5 of 5 tokens are used")), GiveUp)


def test_the_last_attempt_is_the_last() -> None:
    assert verdict(ValueError(), attempt=5) == GiveUp("attempt 5 of 5 failed")


def test_a_group_around_one_error_hides_nothing() -> None:
    error = ExceptionGroup("tasks", [ExceptionGroup("more", [ConfigError("no")])])

    assert isinstance(verdict(error), GiveUp)
