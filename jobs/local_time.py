"""Times and spans as people read them, in the time zone of this machine."""

from __future__ import annotations

import math
from datetime import UTC, datetime, tzinfo

#: Seconds from which on a span is told in the unit, and the unit's own.
_UNITS = ((172_800.0, 86_400.0, "d"), (7200.0, 3600.0, "h"), (120.0, 60.0, "min"))


def local_zone(now: datetime) -> tzinfo:
    """Give this machine's time zone as it is now: times that are shown together have one offset from UTC."""
    return now.astimezone().tzinfo or UTC


def full_time(moment: datetime, now: datetime) -> str:
    """Give a time with its date."""
    return f"{moment.astimezone(local_zone(now)):%Y-%m-%d %H:%M:%S}"


def clock_time(moment: datetime, now: datetime) -> str:
    """Give a time of today by the clock, any other with its date."""
    zone = local_zone(now)
    today = moment.astimezone(zone).date() == now.astimezone(zone).date()
    return f"{moment.astimezone(zone):%H:%M:%S}" if today else full_time(moment, now)


def due_time(moment: datetime, now: datetime) -> str:
    """Say when something is due: `at 16:20:05 (in 12 s)`, or `now`."""
    if moment <= now:
        return "now"
    return f"at {clock_time(moment, now)} (in {span((moment - now).total_seconds())})"


def span(seconds: float) -> str:
    """Give a span in the unit that suits it: `12 s`, `3 min`, `5 h`, `2 d`."""
    for least, unit, name in _UNITS:
        if seconds >= least:
            return f"{seconds / unit:.0f} {name}"
    return f"{math.ceil(seconds)} s"
