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

#: Errors that no second attempt can cure.
FINAL_ERRORS = (
    AuthenticationError,
    BadRequestError,
    CassetteError,
    ConfigError,
    NotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
)
#: The longest back-off, in seconds.
MAX_BACKOFF = 300.0
#: The longest wait a provider may ask for, in seconds.
MAX_RETRY_AFTER = 86_400.0


@dataclass(frozen=True, slots=True)
class Again:
    """Run the job once more."""

    #: Seconds until it is due.
    delay: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The job is discarded."""

    #: Why, in words.
    reason: str


def decide(
    error: BaseException, *, attempt: int, max_attempts: int, backoff: float, jitter: float
) -> Again | GiveUp:
    """Say what follows from an attempt that raised `error`.

    Args:
        error: What the actor raised.
        attempt: The attempt's number, from 1.
        max_attempts: How many attempts the job has in all.
        backoff: The first back-off in seconds; it doubles with each attempt, up to five minutes.
        jitter: A random number in [0, 1), so that jobs that failed together do not come back together.
    """
    cause = leaf(error)
    if isinstance(cause, FINAL_ERRORS):
        return GiveUp(f"{type(cause).__name__} is not cured by another attempt")
    if attempt >= max_attempts:
        return GiveUp(f"attempt {attempt} of {max_attempts} failed")
    if isinstance(cause, RateLimitError) and cause.retry_after is not None:
        return Again(min(cause.retry_after, MAX_RETRY_AFTER) + jitter)
    doubled = backoff * 2.0 ** min(attempt - 1, 32)
    return Again(min(MAX_BACKOFF, doubled * (1.0 + jitter / 4)))


def leaf(error: BaseException) -> BaseException:
    """Unwrap the exception groups that task groups put around a single error."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
