"""What a scenario is, and what it promises."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

#: Runs a client, named, against the server at a URL, and gives the named measurements of one run.
Measure = Callable[[str, str], Coroutine[Any, Any, dict[str, float]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A bound on the median of one measurement."""

    what: str
    of: str
    #: The client, or the measurement, that `of` is compared with; None compares with nothing.
    over: str | None = None
    over_what: str | None = None
    at_most: float
    #: What would be better still.
    aim: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One table: the same work, done by several clients in turns."""

    title: str
    measure: Measure
    clients: tuple[str, ...]
    #: The measurements and their units, the one to compare first.
    columns: dict[str, str]
    targets: tuple[Target, ...] = ()
    scheme: str = "http"
    rounds: int = 3
    #: Runs before the first that counts, in the same process: they pay for imports and first uses.
    warm_ups: int = 0
    #: Seconds that one run may take; a client that takes longer has collapsed.
    limit: float = 60.0
    #: Whether all clients run at the same time: their runs are waits, and nothing of them is compared.
    together: bool = False

    @property
    def module(self) -> str:
        """Where it is, so that a process need not import the others."""
        return str(getattr(self.measure, "func", self.measure).__module__)
