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
from jobs.errors import BudgetExceeded, Discard, NotStorable, Snooze
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
    error: BaseException,
    *,
    attempt: int,
    max_attempts: int,
    backoff: float,
    jitter: float,
    age: float = 0.0,
    throws: tuple[type[BaseException], ...] = (),
) -> Again | GiveUp:
    """Say what follows from an attempt that raised `error`.

    Args:
        error: What the actor raised.
        attempt: The attempt's number, from 1.
        max_attempts: How many attempts the job has in all.
        backoff: The first back-off in seconds; it doubles with each attempt, up to five minutes.
        jitter: A random number in [0, 1), so that jobs that failed together do not come back together.
        age: Seconds since the job was sent.
        throws: Errors that the actor says no other attempt cures.
    """
    cause = leaf(error)
    if isinstance(cause, Discard):
        return GiveUp(words(cause))
    if isinstance(cause, (*FINAL_ERRORS, *throws)):
        return GiveUp(f"{type(cause).__name__} is not cured by another attempt")
    pause = _free_pause(cause, age, jitter)
    if pause is not None:
        return Again(pause, counts=False)
    if attempt >= max_attempts:
        return GiveUp(f"attempt {attempt} of {max_attempts} failed")
    wanted = _retry_after(cause)
    if wanted is not None:
        return Again(min(wanted, MAX_RETRY_AFTER) + jitter)
    doubled = backoff * 2.0 ** min(attempt - 1, 32)
    return Again(min(MAX_BACKOFF, doubled * (1.0 + jitter / 4)))


def _free_pause(error: BaseException, age: float, jitter: float) -> float | None:
    """Give the seconds to wait for somebody else, which costs no attempt; None if the attempt counts."""
    if isinstance(error, Snooze):
        return error.seconds
    if isinstance(error, BudgetResting):
        return (error.retry_after or 0.0) + jitter
    if isinstance(error, RateLimitError) and age < PATIENCE:
        asked = BUSY_PAUSE if error.retry_after is None else min(error.retry_after, MAX_RETRY_AFTER)
        return asked + jitter
    return None


def words(error: BaseException) -> str:
    """Give what an error says; some cannot even say that."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - it is somebody's class, and may raise what it likes
        return f"<a {type(error).__name__} whose words cannot be read>"


def _retry_after(error: BaseException) -> float | None:
    # A busy server (503, 529) asks for time as a rate limit does, but nobody knows that it will recover.
    asked = getattr(error, "retry_after", None)
    return float(asked) if isinstance(asked, int | float) and asked >= 0 else None


def leaf(error: BaseException) -> BaseException:
    """Unwrap the exception groups that task groups put around a single error."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
