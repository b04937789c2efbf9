"""How an attempt ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jobs.lease import Reason


@dataclass(frozen=True, slots=True)
class Finished:
    """The actor returned."""

    #: The text the row keeps.
    output: str | None
    #: The value the row keeps, as JSON.
    result: Any


@dataclass(frozen=True, slots=True)
class Errored:
    """The actor raised."""

    error: BaseException


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The attempt was cancelled from outside."""

    reason: Reason


Outcome = Finished | Errored | Interrupted
