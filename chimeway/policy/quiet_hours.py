"""Quiet hours: when a recipient is not to be disturbed, and when that is over. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from chimeway.policy.wall_clock import clock_of, moment_of, zone_of

_DAY = timedelta(days=1)
#: How many days before, and after, a quiet time may have begun that holds now; zones have skipped a whole day.
_BEFORE, _AFTER = 2, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class QuietHours:
    """A time of each day in which nothing is sent that disturbs."""

    #: Minutes from midnight on the recipient's clock. The end is not part of it, and may lie on the next day; an end that
    #: is the start means that there is none.
    start: int
    end: int
    time_zone: str

    def to_dict(self) -> dict[str, str]:
        """Give it as people write it."""
        return {"start": clock_of(self.start), "end": clock_of(self.end), "time_zone": self.time_zone}


def defer_until(quiet: QuietHours, now: datetime) -> datetime | None:
    """Give the end of the quiet time that it is now, in UTC; None if it is none.

    It lasts from where the clock on the wall first shows its start to where it last shows its end: in the night in which
    clocks go back it is longer, and a start or an end that is skipped is the first moment after the gap.

    Raises:
        ConfigError: This machine does not know the time zone.
    """
    if quiet.start == quiet.end:
        return None
    moment = now.astimezone(UTC)
    # One may begin in the hour that another's end is shown twice.
    while (end := _end_of(quiet, moment)) is not None:
        moment = end
    return moment if moment > now else None


def _end_of(quiet: QuietHours, moment: datetime) -> datetime | None:
    return max((end for start, end in _around(quiet, moment) if start <= moment < end), default=None)


def _around(quiet: QuietHours, moment: datetime) -> Iterator[tuple[datetime, datetime]]:
    zone = zone_of(quiet.time_zone)
    today = moment.astimezone(zone).date()
    for days in range(-_BEFORE, _AFTER + 1):
        first = today + days * _DAY
        last = first if quiet.start < quiet.end else first + _DAY
        yield moment_of(first, quiet.start, zone, later=False), moment_of(last, quiet.end, zone, later=True)
