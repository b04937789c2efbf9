"""Times on a clock on the wall: minutes of a day in a time zone, and the moments they are. Pure."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from aquila.errors import ConfigError

#: Characters that a row keeps of a time zone's name.
LONGEST_ZONE = 100
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)", re.ASCII)
_SECOND = timedelta(seconds=1)


def minute_of(clock: str, where: str) -> int:
    """Read `22:00` as minutes from midnight.

    Args:
        clock: Hours and minutes.
        where: What it is given for, for messages.

    Raises:
        ConfigError: It is no time of a day.
    """
    found = _CLOCK.fullmatch(clock) if isinstance(clock, str) else None
    if found is None:
        raise ConfigError(f"{where}={clock!r} must be a time of the day as HH:MM, from 00:00 to 23:59")
    return int(found[1]) * 60 + int(found[2])


def clock_of(minute: int) -> str:
    """Write minutes from midnight as `22:00`."""
    return f"{minute // 60:02}:{minute % 60:02}"


def zone_of(name: str) -> tzinfo:
    """Give a time zone by its name.

    Raises:
        ConfigError: There is none of this name, or this machine knows none.
    """
    if name == "UTC":
        # Known everywhere, also where no tables of zones are installed.
        return UTC
    try:
        return ZoneInfo(name if isinstance(name, str) and len(name) <= LONGEST_ZONE else "")
    # A name that is none, or that of a folder of zones, is each another error.
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigError(
            f"time_zone={name!r} is unknown; write a name such as 'Europe/Berlin', and if this machine has no time "
            "zones, pip install tzdata"
        ) from error


def moment_of(day: date, minute: int, zone: tzinfo, *, later: bool) -> datetime:
    """Give the moment, in UTC, at which the clock on the wall shows a minute of a day.

    A minute that is skipped when clocks go forward is the first moment after the gap.

    Args:
        day: The date on the wall.
        minute: From midnight.
        zone: Where the wall is.
        later: Which of the two it is when clocks go back and show it twice.
    """
    shown = datetime.combine(day, time(), tzinfo=zone) + timedelta(minutes=minute)
    first, second = (shown.replace(fold=fold).astimezone(UTC) for fold in (0, 1))
    if first > second:
        return _end_of_gap(second, first, zone)
    return second if later else first


def _end_of_gap(before: datetime, after: datetime, zone: tzinfo) -> datetime:
    """Find the moment at which the clock jumps, which lies after the one and not after the other."""
    jumped = after.astimezone(zone).utcoffset()
    while after - before > _SECOND:
        middle = before + timedelta(seconds=(after - before) // _SECOND // 2)
        if middle.astimezone(zone).utcoffset() == jumped:
            after = middle
        else:
            before = middle
    return after
