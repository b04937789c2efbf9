"""Who is told of the cassettes that this process opens: a test run that counts what was played."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from decimal import Decimal

    from aquila.cassette.faults import Fault
    from aquila.cassette.matching.match import Index


class Player(Protocol):
    """What plays a cassette."""

    @property
    def index(self) -> Index | None:
        """What the file held; None before the first request."""

    @property
    def plays(self) -> int:
        """How often an interaction was played."""

    @property
    def saved_usd(self) -> Decimal:
        """What the played answers cost when they were recorded, as far as is known."""

    def unused_faults(self) -> tuple[Fault, ...]:
        """Give the faults that have not struck."""


class Opened(Protocol):
    """A cassette that was opened."""

    @property
    def path(self) -> Path:
        """The file."""

    @property
    def records(self) -> bool:
        """Whether requests that are not in the file are sent."""

    @property
    def recordings(self) -> int:
        """How many answers were recorded."""

    @property
    def player(self) -> Player | None:
        """What plays; None where everything is recorded."""


class Watch:
    """Collects the cassettes that are opened while it watches."""

    def __init__(self) -> None:
        #: In the order in which they were opened.
        self.opened: list[Opened] = []
        #: Files that jobs play, perhaps in processes that nobody here hears of.
        self.lent: set[Path] = set()


class Watching:
    """The watches of this process: one for the whole run, one for the test that runs."""

    def __init__(self) -> None:
        #: Told of every cassette; None when nobody wants to know.
        self.run: Watch | None = None
        #: Told of the cassettes that were named during the test; None between tests, and while something is set up that
        #: outlives the test.
        self.test: Watch | None = None

    def lend(self, path: Path) -> None:
        """Tell those who watch that a job was sent that plays a file."""
        for watch in (self.run, self.test):
            if watch is not None:
                watch.lent.add(path.resolve())

    def note(self, deck: Opened, named_in: Watch | None) -> None:
        """Tell those who watch that a cassette was opened.

        Args:
            deck: The cassette.
            named_in: The watch of the test in which somebody named it; None for one that outlives the test.
        """
        for watch in (self.run, named_in):
            if watch is not None:
                # Appending is one step, whichever thread opens it.
                watch.opened.append(deck)


WATCHING = Watching()
