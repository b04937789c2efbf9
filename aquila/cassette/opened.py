"""Cassettes that are opened, told to those who watch and to the other processes of a test run."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Protocol

from aquila.cassette.journal import JOURNAL
from aquila.cassette.watch import WATCHING, Opened, Player, Watch


class _Recorder(Protocol):
    @property
    def recordings(self) -> int: ...


class OpenedByHand:
    """The cassette of a transport that a program has made itself, as a watch wants to see it.

    It counts for the run and for no test: nobody knows which one it is made for.

    Args:
        path: The file.
        player: What plays; None where everything is recorded.
        recorder: What records; None where everything is played.
    """

    def __init__(
        self, path: Path, *, player: Player | None = None, recorder: _Recorder | None = None
    ) -> None:
        #: The file.
        self.path = path
        #: What plays.
        self.player = player
        self._recorder = recorder
        self._noting = threading.Lock()
        self._is_noted = False

    @property
    def records(self) -> bool:
        """Whether requests are sent."""
        return self._recorder is not None

    @property
    def recordings(self) -> int:
        """How many answers were recorded."""
        return self._recorder.recordings if self._recorder is not None else 0

    def note(self) -> None:
        """Tell of it at the first request."""
        with self._noting:
            if not self._is_noted:
                self._is_noted = True
                note_opened(self)


def note_opened(opened: Opened, named_in: Watch | None = None) -> None:
    """Tell that a cassette was opened.

    Args:
        opened: The cassette.
        named_in: The watch of the test in which somebody named it; None for one that outlives the test.
    """
    WATCHING.note(opened, named_in)
    JOURNAL.note("opened", opened.path)
