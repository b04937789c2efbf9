"""`Budget`: what a job, or all jobs with a tag, may use. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

from aquila.errors import ConfigError

Per = Literal["day", "month", "ever"]
#: Of tokens or dollars; a row holds no more.
MOST = 10**15
#: How the name of a period is made of a moment; all times are UTC.
_PERIODS: Mapping[str, str] = {"day": "%Y-%m-%d", "month": "%Y-%m", "ever": ""}


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Tokens and money, of which the scarcer one ends it. At least one of the two is set."""

    #: Tokens in all, of prompts and answers; None sets no limit.
    tokens: int | None = None
    #: US dollars in all; None sets no limit. It needs the extra `prices` and models whose price is known.
    cost: float | None = None
    #: How soon a tag's budget is fresh again, by the UTC calendar. A job's own budget is for all its attempts together.
    per: Per = "ever"

    def __post_init__(self) -> None:
        if self.tokens is None and self.cost is None:
            raise ConfigError("a budget sets tokens= or cost= or both")
        for name in ("tokens", "cost"):
            value = getattr(self, name)
            if value is not None and not _is_amount(value, whole=name == "tokens"):
                kind = "a whole number" if name == "tokens" else "a number"
                raise ConfigError(f"{name}={value!r} of a budget must be {kind} above zero")
        if self.cost is not None:
            # A Decimal is welcome; a row holds no such thing.
            object.__setattr__(self, "cost", float(self.cost))
        if self.per not in _PERIODS:
            raise ConfigError(f"per={self.per!r} of a budget must be one of {', '.join(_PERIODS)}")

    def to_dict(self) -> dict[str, Any]:
        """Give what the row keeps."""
        return {name: value for name, value in asdict(self).items() if value is not None and name != "per"}

    def period(self, now: datetime) -> str:
        """Give the name of the period that a moment lies in; empty for one that never ends."""
        return now.strftime(_PERIODS[self.per])

    def rest(self, now: datetime) -> float | None:
        """Give the seconds until the budget is fresh again; None if it never is.

        Args:
            now: The present moment, in UTC.
        """
        if self.per == "ever":
            return None
        today = now.replace(hour=0, minute=0, second=0, microsecond=0)
        # 32 days behind the first of a month lie in the next one.
        after = (
            today.replace(day=1) + timedelta(days=32) if self.per == "month" else today + timedelta(days=1)
        )
        fresh = after.replace(day=1) if self.per == "month" else after
        return (fresh - now).total_seconds()

    def exceeded(self, tokens: int, cost: float | None) -> str | None:
        """Say in words which part is used up; None while there is some left."""
        if self.tokens is not None and tokens >= self.tokens:
            return f"{tokens} of {self.tokens} tokens are used"
        if self.cost is not None and cost is not None and cost >= self.cost:
            return f"{cost:.4g} of {self.cost:.4g} US dollars are used"
        return None


def _is_amount(value: object, *, whole: bool) -> bool:
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float | Decimal):
        return False
    return 0 < value < MOST


def job_budget(stored: Mapping[str, Any] | None) -> Budget | None:
    """Make a job's budget from what its row keeps."""
    return Budget(**stored) if stored else None
