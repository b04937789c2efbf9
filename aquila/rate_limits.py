"""What a provider says of its rate limits in the headers of an answer. Pure: no clock is read.

Absolute moments are measured against the answer's own `date`, so that this machine's clock does not matter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_PREFIXES = ("x-ratelimit-", "ratelimit-")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|us|ns|d|h|m|s)")
_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
#: No wait is that long, so a larger number is a moment since 1970: in seconds, or from a thousandfold on in milliseconds.
_EPOCH = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimits:
    """How much may be sent, and when the count begins anew; None where the provider does not say."""

    limit_requests: int | None = None
    remaining_requests: int | None = None
    #: Seconds from the answer on.
    reset_requests: float | None = None
    limit_tokens: int | None = None
    remaining_tokens: int | None = None
    #: Seconds from the answer on.
    reset_tokens: float | None = None

    @property
    def pause(self) -> float:
        """Seconds until another request makes sense; 0 while something is left, or when nobody knows."""
        waits = (
            (self.remaining_requests, self.reset_requests),
            (self.remaining_tokens, self.reset_tokens),
        )
        return max((reset for left, reset in waits if left == 0 and reset is not None), default=0.0)


def read_rate_limits(headers: Mapping[str, str]) -> RateLimits | None:
    """Read the limits from the headers of an answer, under lower-case names; None when they say nothing.

    OpenAI's `x-ratelimit-remaining-tokens` and its kin are understood, and names without a kind (`x-ratelimit-reset`,
    `ratelimit-reset`), which stand for requests. A limit below 1 and anything negative mean unknown, as on Azure.
    """
    if not any(name.startswith(_PREFIXES) for name in headers):
        return None
    requests, tokens = _kind(headers, "requests"), _kind(headers, "tokens")
    if all(value is None for value in requests + tokens):
        return None
    return RateLimits(
        limit_requests=requests[0],
        remaining_requests=requests[1],
        reset_requests=requests[2],
        limit_tokens=tokens[0],
        remaining_tokens=tokens[1],
        reset_tokens=tokens[2],
    )


def read_retry_after(headers: Mapping[str, str]) -> float | None:
    """Read how long the provider asks to wait, in seconds; None when it does not ask.

    A date is measured against the response's own `date`, so that this machine's clock does not matter.
    """
    for name, scale in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        value = headers.get(name, "")
        if re.fullmatch(r"\s*\d+(\.\d+)?\s*", value):
            return float(value) / scale
    until, now = _date(headers, "retry-after"), _date(headers, "date")
    return max((until - now).total_seconds(), 0.0) if until and now else None


def _kind(headers: Mapping[str, str], kind: str) -> tuple[int | None, int | None, float | None]:
    said = [_say(headers, what, kind) for what in ("limit", "remaining", "reset")]
    limit = _count(said[0])
    if said[0] and limit is not None and limit < 1:
        # Azure sends -1 or 0 for all three where it does not count.
        return None, None, None
    remaining = _count(said[1])
    return limit, None if remaining is not None and remaining < 0 else remaining, _reset(headers, said[2])


def _say(headers: Mapping[str, str], what: str, kind: str) -> str:
    names = [f"x-ratelimit-{what}-{kind}"]
    if kind == "requests":
        names += [f"x-ratelimit-{what}", f"ratelimit-{what}"]
    return next((value.strip() for name in names if (value := headers.get(name))), "")


def _count(value: str) -> int | None:
    return int(value) if re.fullmatch(r"-?\d{1,18}", value) else None


def _reset(headers: Mapping[str, str], value: str) -> float | None:
    if not _NUMBER.fullmatch(value):
        return _duration(value)
    number = float(value)
    if number < _EPOCH:
        return number
    now = _date(headers, "date")
    if now is None:
        return None
    moment = number / 1000.0 if number >= _EPOCH * 1000 else number
    return max(moment - now.timestamp(), 0.0)


def _duration(value: str) -> float | None:
    parts = _PART.findall(value)
    if not parts or "".join(number + unit for number, unit in parts) != value:
        return None
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def _date(headers: Mapping[str, str], name: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(headers[name])
    except (KeyError, ValueError):
        return None
    # HTTP's oldest form of a date names no zone and means this one.
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
