"""`Throttle` and `DeliveryCap`: how much may be sent in a while. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from aquila.errors import ConfigError
from chimeway.errors import NotifierInvalid
from chimeway.policy.declared import check_parameter

#: The largest number a column holds, and a year.
MOST, LONGEST = 2_000_000_000, 366 * 86_400


@dataclass(frozen=True, slots=True)
class Throttle:
    """How often a notifier may reach one recipient on one channel: what is more is suppressed.

    `Throttle(1, 3600, key="document_id")` tells of each document once an hour.
    """

    limit: int
    seconds: int
    #: The parameter of the trigger whose values are counted apart; None counts all together.
    key: str | None = None

    def __post_init__(self) -> None:
        if not _is_count(self.limit, MOST) or not _is_count(self.seconds, LONGEST):
            raise NotifierInvalid(
                f"Throttle({self.limit!r}, {self.seconds!r}) must be a number from 1 in whole seconds, up to a year"
            )
        check_parameter(self.key, "a Throttle's key")

    def value_of(self, payload: Mapping[str, Any]) -> str:
        """Give, in JSON, the value that a delivery of these parameters is counted by; nothing without a key."""
        return "" if self.key is None else json.dumps(payload.get(self.key), sort_keys=True, default=str)

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON values."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Throttle:
        """Read what `to_dict` gave."""
        return cls(values["limit"], values["seconds"], values.get("key"))


@dataclass(frozen=True, slots=True)
class DeliveryCap:
    """How many deliveries may reach one recipient, whatever they tell and wherever."""

    count: int
    seconds: int

    def __post_init__(self) -> None:
        if not _is_count(self.count, MOST) or not _is_count(self.seconds, LONGEST):
            raise ConfigError(
                f"a delivery cap of {self.count!r} in {self.seconds!r} seconds must be a number from 1 in whole seconds, "
                "up to a year; to send nothing, use set_preference(recipient, False)"
            )

    def to_dict(self) -> dict[str, int]:
        """Give it as JSON values."""
        return {"count": self.count, "seconds": self.seconds}


def _is_count(value: Any, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most
