"""When a failed request is sent again: a pure decision."""

from __future__ import annotations

from dataclasses import dataclass

from aquila.errors import APIStatusError, AquilaError, ConfigError

#: From here on a float cannot double for ever, and every pause has long reached its bound.
_MOST_DOUBLINGS = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How often and after what pause a request is repeated, and only before any content came.

    A provider that asks to wait (`Retry-After`) is obeyed up to `max_retry_after`; above it the error is raised at
    once, so that the caller can plan the wait.

    Raises:
        ConfigError: A number is not one, or below 0.
    """

    #: Repetitions after the first request.
    max_retries: int = 2
    #: Seconds before the first repetition; doubles with each one.
    min_backoff: float = 0.5
    #: The longest pause of our own choice, in seconds.
    max_backoff: float = 8.0
    #: The longest pause a provider may ask for, in seconds.
    max_retry_after: float = 60.0

    def __post_init__(self) -> None:
        if (
            isinstance(self.max_retries, bool)
            or not isinstance(self.max_retries, int)
            or self.max_retries < 0
        ):
            raise ConfigError(f"retry: max_retries={self.max_retries!r} must be a whole number from 0")
        for name in ("min_backoff", "max_backoff", "max_retry_after"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
                raise ConfigError(f"retry: {name}={value!r} must be a number of seconds from 0")

    @classmethod
    def of(cls, value: Retry | int | None) -> Retry:
        """Read what a caller may give: a Retry, a number of repetitions, or None (the default)."""
        if value is None:
            return cls()
        return value if isinstance(value, Retry) else cls(max_retries=value)

    def delay(self, attempt: int, error: AquilaError, jitter: float = 0.0) -> float | None:
        """Say how long to wait before the next request.

        Args:
            attempt: Requests made so far, from 1.
            error: What the last one ended in.
            jitter: 0 to 1, drawn by the caller; takes up to a quarter off our own pauses.

        Returns:
            Seconds, or None to give up.
        """
        if not error.retryable or attempt > self.max_retries:
            return None
        asked = error.retry_after if isinstance(error, APIStatusError) else None
        if asked is not None:
            return asked if asked <= self.max_retry_after else None
        return self.backoff(attempt) * (1 - jitter / 4)

    def backoff(self, attempt: int) -> float:
        """Give the pause of our own choice behind the first, second, ... failure, in seconds."""
        return min(self.min_backoff * 2.0 ** min(attempt - 1, _MOST_DOUBLINGS), self.max_backoff)
