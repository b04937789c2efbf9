"""A token bucket for requests per minute. Pure: the present moment is an argument."""

from __future__ import annotations

_MINUTE = 60.0


class Bucket:
    """Holds a second's worth of requests and fills slowly enough that no minute sees more than the limit.

    Args:
        per_minute: How many requests any 60 seconds may see, at least 1.
        now: The present moment, in seconds of any monotonic clock.
    """

    __slots__ = ("_full_at", "_interval", "_slack")

    def __init__(self, per_minute: int, now: float) -> None:
        burst = max(per_minute // 60, 1)
        # What is there at the minute's begin and what comes in during it make the limit together.
        self._interval = _MINUTE / (per_minute - burst + 1)
        self._slack = (burst - 1) * self._interval
        #: When the bucket is full again if nobody takes anything.
        self._full_at = now

    def wait(self, now: float) -> float:
        """Give the seconds until a request may be taken; 0 for now."""
        return max(self._full_at - self._slack - now, 0.0)

    def take(self, now: float) -> None:
        """Take one request out."""
        self._full_at = max(self._full_at, now) + self._interval
