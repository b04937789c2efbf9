"""`FakeClock`: a clock that stands still until a test moves it."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

from aquila.errors import ConfigError
from chimeway.clock import SystemClock


class FakeClock:
    """Tells the time that it was told.

    Args:
        now: When it begins; None means the machine's time at this moment.

    Raises:
        ConfigError: The time is no datetime, or has no time zone.
    """

    def __init__(self, now: datetime | None = None) -> None:
        self._now = _aware(now or SystemClock().now())
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """Give the time in UTC."""
        with self._lock:
            return self._now

    def advance(self, seconds: float = 0.0, **more: float) -> datetime:
        """Move it on; give the time that it tells then.

        Args:
            seconds: How far.
            more: The rest of the way, in the words of `timedelta`: `hours=2`.
        """
        with self._lock:
            self._now += timedelta(seconds=seconds, **more)
            return self._now

    def move_to(self, moment: datetime) -> None:
        """Let it tell another time.

        Args:
            moment: Aware; it may be earlier.

        Raises:
            ConfigError: The time has no time zone.
        """
        aware = _aware(moment)
        with self._lock:
            self._now = aware


def _aware(moment: datetime) -> datetime:
    if not isinstance(moment, datetime):
        raise ConfigError(f"a clock's time is an aware datetime, not {type(moment).__name__}")
    if moment.tzinfo is None:
        raise ConfigError(f"{moment.isoformat()} has no time zone; write datetime(..., tzinfo=UTC)")
    return moment.astimezone(UTC)
