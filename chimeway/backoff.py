"""When a delivery that failed is sent again. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

#: Seconds; the longest that a provider's own wish is followed.
LONGEST_WISH = 86_400.0


def next_attempt(
    attempt: int, now: datetime, *, backoff: float, longest: float, jitter: float, asked: float | None = None
) -> datetime:
    """Give the time of the next attempt.

    Args:
        attempt: The number of the attempt that failed, from 1.
        now: When it failed.
        backoff: Seconds after the first attempt; doubled for each further one.
        longest: Seconds that it is never longer.
        jitter: A random number in [0, 1): what failed together does not come back together.
        asked: Seconds that the provider asks to wait; None if it does not say.
    """
    if asked is not None:
        return now + timedelta(seconds=min(max(0.0, asked), LONGEST_WISH) + jitter)
    doubled = backoff * 2.0 ** min(attempt - 1, 32)
    return now + timedelta(seconds=min(longest, doubled) * (1.0 + jitter / 4))
