"""A clock that several processes share and somebody moves: the machine's time, and what a file says is to be added."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from chimeway.clock import SystemClock

#: Seconds by which a reading may lie beside the time in which its offset held: the file is read, then the machine's clock.
TOLERANCE = 2.0


@dataclass(frozen=True, slots=True)
class MovedClock:
    """Tells the machine's time with the file's offset."""

    path: Path

    def now(self) -> datetime:
        """Give the moved time."""
        return SystemClock().now() + timedelta(seconds=self.offset())

    def offset(self) -> float:
        """Give by how many seconds it is moved."""
        return float(self.path.read_text()) if self.path.exists() else 0.0


@dataclass(slots=True)
class ClockMover:
    """Moves the clock, and remembers when."""

    path: Path
    #: The machine's time of each move, and the offset from then on.
    moves: list[tuple[float, float]] = field(default_factory=lambda: [(0.0, 0.0)])

    def move(self, seconds: float) -> None:
        """Move it on, or back."""
        offset = self.moves[-1][1] + seconds
        new = self.path.with_suffix(".new")
        new.write_text(str(offset))
        self.moves.append((machine_time(), offset))
        # Whoever reads finds the old offset or the new one, and never half of it.
        os.replace(new, self.path)  # noqa: PTH105 - it says that it replaces


def machine_time() -> float:
    """Give the machine's time, in seconds."""
    return SystemClock().now().timestamp()


def unmoved(told: datetime, moves: Sequence[tuple[float, float]]) -> float:
    """Give the machine's time at which the clock told a time.

    Args:
        told: The time.
        moves: The machine's time of each move, and the offset from then on.

    Raises:
        ValueError: The clock cannot have told it.
    """
    seconds = told.astimezone(UTC).timestamp()
    ends = [began for began, _ in moves[1:]] + [float("inf")]
    for (began, offset), ended in zip(moves, ends, strict=True):
        if began - TOLERANCE <= seconds - offset <= ended + TOLERANCE:
            return seconds - offset
    raise ValueError(f"the clock never told {told}")
