"""The clock that waits, retries and windows go by: one for the process, passed in, so that tests move it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """Give the time, aware."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Give the time in UTC."""
        return datetime.now(UTC)  # noqa: TID251 - the one place where the clock is read
