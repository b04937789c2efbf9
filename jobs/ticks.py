"""When a cron ticks, and which of the ticks that nobody saw to are made up for. Pure."""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import islice, takewhile
from typing import Literal, TypeAlias

from cronsim import CronSim, CronSimError

from aquila.errors import ConfigError

#: What becomes of ticks that passed while no worker was up.
Missed: TypeAlias = Literal["latest", "all", "skip"]
MISSED: tuple[Missed, ...] = ("latest", "all", "skip")
#: Ticks made up for at a time, the newest ones: a cron of every second that was away for a month is no reason to send millions.
MOST_MISSED = 1000
#: Names that cron itself knows.
ALIASES: Mapping[str, str] = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
#: From where an expression is tried when it is read: the years after it hold every kind of day.
_TRIAL = datetime(2024, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Schedule:
    """A cron expression in a time zone; made by `parse`. All ticks are given in UTC.

    Five fields with a set hour and minute (`30 2 * * *`) tick once a day at both changes of daylight saving: at the end of
    the gap when 2:30 is left out, at the first of the two when there are two. Those whose hour or minute begins with `*`
    go on by the time that passes. Six fields, seconds first, tick as the clock shows: never at a time that is left out, and
    twice at one that comes twice.
    """

    expression: str
    tz: str

    def __str__(self) -> str:
        return f"{self.expression} {self.tz}"

    def after(self, moment: datetime) -> datetime:
        """Give the first tick after a moment.

        Raises:
            ConfigError: There is none in fifty years.
        """
        for tick in self._ticks(moment):
            # The first of two times of an hour that comes twice may lie before the second.
            if tick > moment:
                return tick
        raise ConfigError(f"the cron expression {self.expression!r} never comes true; name a day that exists")

    def between(self, after: datetime, until: datetime) -> list[datetime]:
        """Give the ticks after one moment up to another, that one included: the newest `MOST_MISSED`, in order."""
        backwards = takewhile(lambda tick: tick > after, self._ticks(until, reverse=True))
        newest = list(islice(backwards, MOST_MISSED))
        # Looked for backwards, a tick may be left out where an hour comes twice; what counts is found forwards.
        start = min(newest) - timedelta(seconds=1) if len(newest) == MOST_MISSED else after
        found: list[datetime] = []
        while (start := self.after(start)) <= until:
            found.append(start)
        return found[-MOST_MISSED:]

    def _ticks(self, moment: datetime, *, reverse: bool = False) -> Iterator[datetime]:
        local = moment.astimezone(_zone(self.tz))
        return (tick.astimezone(UTC) for tick in CronSim(self.expression, local, reverse=reverse))


def parse(expression: str, tz: str = "UTC") -> Schedule:
    """Read a cron expression.

    Args:
        expression: Five fields, or six with the seconds first, or a name such as `@daily`.
        tz: The IANA name of a time zone.

    Raises:
        ConfigError: The expression cannot be read or never comes true, or the zone is unknown.
    """
    if not isinstance(expression, str):
        raise ConfigError(f"a cron expression is a text like '*/5 * * * *', not {expression!r}")
    plain = " ".join(expression.upper().split())
    plain = ALIASES.get(plain.lower(), plain)
    _zone(tz)
    try:
        CronSim(plain, _TRIAL)
    except CronSimError as error:
        raise ConfigError(
            f"the cron expression {expression!r} cannot be read: {error}; write five fields (minute hour day month "
            "weekday) like '*/5 * * * *', or six with the seconds first"
        ) from error
    schedule = Schedule(plain, tz)
    schedule.after(_TRIAL)
    return schedule


def wanted(ticks: Sequence[datetime], now: datetime, *, missed: Missed, late: float) -> Sequence[datetime]:
    """Give those of the ticks that have passed for which a job is added.

    Args:
        ticks: All that nobody has seen to, in order.
        now: The present.
        missed: What becomes of them if a worker was away.
        late: Seconds a tick may be late without anybody having been away: what it takes until another worker leads.
    """
    if missed == "all" or not ticks or ticks[0] >= now - timedelta(seconds=late):
        return ticks
    return ticks[-1:] if missed == "latest" else ()


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, TypeError, OSError) as error:
        if not zoneinfo.available_timezones():
            raise ConfigError(
                f"this machine has no time zones, so tz={name!r} cannot be used: pip install tzdata"
            ) from error
        raise ConfigError(
            f"there is no time zone tz={name!r}; write an IANA name like 'Europe/Berlin'"
        ) from error
