"""What a failed attempt means for its job: run it again after a while, or never. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from aquila.errors import (
    AuthenticationError,
    BadRequestError,
    CassetteError,
    ConfigError,
    NotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
)
from jobs.errors import BudgetExceeded, NotStorable
from jobs.waits import BudgetResting

#: Errors that no second attempt can cure.
FINAL_ERRORS = (
    AuthenticationError,
    BadRequestError,
    BudgetExceeded,
    CassetteError,
    ConfigError,
    NotFoundError,
    NotStorable,
    PermissionDeniedError,
    QuotaExceededError,
)
#: The longest back-off, in seconds.
MAX_BACKOFF = 300.0
#: The longest wait a provider may ask for, in seconds.
MAX_RETRY_AFTER = 86_400.0
#: Seconds to wait for a provider that is busy and does not say how long.
BUSY_PAUSE = 15.0
#: Seconds since a job was sent after which waiting for the provider counts as failing: a limit that never lifts is one.
PATIENCE = 86_400.0


@dataclass(frozen=True, slots=True)
class Again:
    """Run the job once more."""

    #: Seconds until it is due.
    delay: float
    #: Whether the attempt counts; waiting for a rate limit does not.
    counts: bool = True


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The job is discarded."""

    #: Why, in words.
    reason: str


def decide(
    error: BaseException, *, attempt: int, max_attempts: int, backoff: float, jitter: float, age: float = 0.0
) -> Again | GiveUp:
    """Say what follows from an attempt that raised `error`.

    Args:
        error: What the actor raised.
        attempt: The attempt's number, from 1.
        max_attempts: How many attempts the job has in all.
        backoff: The first back-off in seconds; it doubles with each attempt, up to five minutes.
        jitter: A random number in [0, 1), so that jobs that failed together do not come back together.
        age: Seconds since the job was sent.
    """
    cause = leaf(error)
    if isinstance(cause, FINAL_ERRORS):
        return GiveUp(f"{type(cause).__name__} is not cured by another attempt")
    if isinstance(cause, BudgetResting):
        return Again((cause.retry_after or 0.0) + jitter, counts=False)
    if isinstance(cause, RateLimitError) and age < PATIENCE:
        pause = BUSY_PAUSE if cause.retry_after is None else min(cause.retry_after, MAX_RETRY_AFTER)
        return Again(pause + jitter, counts=False)
    if attempt >= max_attempts:
        return GiveUp(f"attempt {attempt} of {max_attempts} failed")
    wanted = _retry_after(cause)
    if wanted is not None:
        return Again(min(wanted, MAX_RETRY_AFTER) + jitter)
    doubled = backoff * 2.0 ** min(attempt - 1, 32)
    return Again(min(MAX_BACKOFF, doubled * (1.0 + jitter / 4)))


def _retry_after(error: BaseException) -> float | None:
    # A busy server (503, 529) asks for time as a rate limit does, but nobody knows that it will recover.
    asked = getattr(error, "retry_after", None)
    return float(asked) if isinstance(asked, int | float) and asked >= 0 else None


def leaf(error: BaseException) -> BaseException:
    """Unwrap the exception groups that task groups put around a single error."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
