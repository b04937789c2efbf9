"""`Digest`: deliveries that are held to go out as one, and the windows in which they are gathered. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from chimeway.errors import NotifierInvalid
from chimeway.policy.declared import check_blanks, check_parameter, check_text, checked_channels
from chimeway.policy.wall_clock import minute_of, moment_of, zone_of

DEFAULT_MINUTES = 60
#: A month: what is held longer nobody waits for.
LONGEST_WINDOW = 31 * 24 * 60
#: More deliveries than anybody waits for.
MOST_ITEMS = 100_000
#: Characters that a bucket keeps of what it is grouped by.
LONGEST_GROUP = 255
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """How deliveries of a notifier to one recipient are held, to go out as one at the end of a window.

    `Digest(minutes=30)` gathers for half an hour, by the clock; `Digest(daily_at="08:00", time_zone="Europe/Berlin")` from
    one morning to the next. What is said of neither is an hour.

    On PostgreSQL a trigger locks what it gathers in until its transaction is over, for all of its recipients in one order.
    Transactions that trigger several times, for the same recipients in different orders, may therefore wait for each other
    until PostgreSQL ends one of them: tell several recipients in one trigger, or go through them in one order.
    """

    minutes: int | None = None
    daily_at: str | None = None
    #: Of `daily_at`.
    time_zone: str = "UTC"
    #: The parameter of the trigger that is the same in all that go out as one; None puts all together.
    group_by: str | None = None
    #: Which channels are held; the others go out at once.
    channels: Sequence[str] = ("email",)
    #: With fewer, they go out as they are.
    min_items: int = 1
    #: Blanks are filled from the newest trigger's parameters; `{n}` is how many there are.
    subject: str | None = None
    #: What a model is told that writes the text; without them the texts stand one after the other.
    instructions: str | None = None
    model: str | None = None

    def __post_init__(self) -> None:
        if self.minutes is not None and self.daily_at is not None:
            raise NotifierInvalid("a Digest has minutes= or daily_at=, not both")
        if self.daily_at is not None:
            minute_of(self.daily_at, "daily_at")
        if not _is_count(self.length, LONGEST_WINDOW):
            raise NotifierInvalid(
                f"a Digest's minutes={self.minutes!r} must be from 1 to {LONGEST_WINDOW}, a month"
            )
        if not _is_count(self.min_items, MOST_ITEMS):
            raise NotifierInvalid(
                f"a Digest's min_items={self.min_items!r} must be a number from 1 to {MOST_ITEMS:,}"
            )
        zone_of(self.time_zone)
        check_parameter(self.group_by, "a Digest's group_by")
        for name in ("subject", "instructions", "model"):
            check_text(getattr(self, name), f"a Digest's {name}")
        check_blanks(self.subject, "a Digest's subject")
        object.__setattr__(self, "channels", checked_channels(self.channels, "a Digest's channels"))

    @property
    def length(self) -> int:
        """Minutes of a window that is not a day's."""
        return DEFAULT_MINUTES if self.minutes is None else self.minutes

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON values."""
        return {one.name: getattr(self, one.name) for one in fields(self)} | {"channels": list(self.channels)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Digest:
        """Read what `to_dict` gave; what this version does not know is left out."""
        known = {one.name for one in fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})


def window_of(digest: Digest, now: datetime) -> tuple[datetime, datetime]:
    """Give the window that it is now: when it began, and when what was gathered in it goes out, which is no part of it.

    Windows of minutes are counted from 1970 on, so that everyone has the same. A daily one ends where the clock on the wall
    shows its time: for the second time when clocks go back, and at the first moment after the gap if it is skipped.
    """
    if digest.daily_at is None:
        length = timedelta(minutes=digest.length)
        start = _EPOCH + (now - _EPOCH) // length * length
        return start, start + length
    zone, minute = zone_of(digest.time_zone), minute_of(digest.daily_at, "daily_at")
    today = now.astimezone(zone).date()
    # Zones have skipped a whole day.
    ends = [moment_of(today + days * _DAY, minute, zone, later=True) for days in range(-2, 3)]
    return max(end for end in ends if end <= now), min(end for end in ends if end > now)


def group_of(digest: Digest, payload: Mapping[str, Any]) -> str:
    """Give what a delivery of these parameters is gathered by; nothing if all go together or the parameter is missing."""
    value = payload.get(digest.group_by) if digest.group_by is not None else None
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
    return text if len(text) <= LONGEST_GROUP else f"sha256:{sha256(text.encode()).hexdigest()}"


def _is_count(value: Any, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most
