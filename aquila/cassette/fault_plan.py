"""Which faults are still to strike a replay."""

from __future__ import annotations

from collections.abc import Iterable

from aquila.cassette.faults import Fault
from aquila.cassette.interaction import Interaction
from aquila.errors import ConfigError


class FaultPlan:
    """Counts how often each fault has struck. Not safe from several threads at once: its owner has a lock.

    Args:
        faults: In the order in which they are asked; the first that fits strikes.

    Raises:
        ConfigError: One of them is no fault.
    """

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._faults = tuple(faults)
        for fault in self._faults:
            if not isinstance(fault, Fault):
                raise ConfigError(
                    f"faults holds {fault!r}; use Disconnect(), Timeout(), Status(), Truncate(), Garble() and "
                    "SlowFirstByte() of aquila.cassette"
                )
        self._left = [fault.times for fault in self._faults]

    def take(self, number: int, interaction: Interaction) -> Fault | None:
        """Give the fault that strikes an interaction, counted from 1, now; None if none does."""
        for place, fault in enumerate(self._faults):
            if self._left[place] and fault.strikes(number, interaction) and fault.changes(interaction):
                self._left[place] -= 1
                return fault
        return None

    def waiting(self) -> tuple[Fault, ...]:
        """Give the faults that have not struck as often as they should."""
        return tuple(fault for fault, left in zip(self._faults, self._left, strict=True) if left)
