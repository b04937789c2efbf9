"""A cassette in use: what it can it plays, what it must it records, as its mode says."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from aquila.cassette import session
from aquila.cassette.faults import Fault
from aquila.cassette.file.disk import signature
from aquila.cassette.holding import standing
from aquila.cassette.matching.rules import Rules
from aquila.cassette.mode import Mode
from aquila.cassette.opened import note_opened
from aquila.cassette.playback import Pace
from aquila.cassette.record import Recorder
from aquila.cassette.replay import Claim, Player
from aquila.cassette.sync_record import send_sync
from aquila.cassette.watch import Watch
from aquila.errors import CassetteError
from aquila.transport.base import Request, Transport, TransportResponse
from aquila.transport.sleeping import sleep_of
from aquila.transport.sync_base import SyncResponse, SyncTransport


class Deck:
    """One cassette for everybody who shares it: interactions are played once among them all.

    Args:
        path: The cassette file.
        mode: Any but `off`.
        rules: What is compared and hidden; None for the defaults.
        pace: How fast to play; None for at once.
        faults: What is to go wrong in a replay.
        named_in: The watch of the test in which somebody named it.
        waits: Whether recordings wait for the verdict on the test that runs.

    Raises:
        ConfigError: A fault is none.
    """

    def __init__(
        self,
        path: Path,
        mode: Mode,
        *,
        rules: Rules | None = None,
        pace: Pace | None = None,
        faults: Iterable[Fault] = (),
        named_in: Watch | None = None,
        waits: bool = False,
    ) -> None:
        #: The cassette file.
        self.path = path
        self._mode = mode
        self._rules = rules or Rules()
        self._ready = Player(path, rules=self._rules, pace=pace, faults=faults)
        self._named_in = named_in
        self._waits = waits
        self._opening = threading.Lock()
        self._opened = False
        self._player: Player | None = None
        self._recorder: Recorder | None = None

    @property
    def player(self) -> Player | None:
        """What plays; None before the first request, and where everything is recorded."""
        return self._player

    @property
    def recorder(self) -> Recorder:
        """What records.

        Raises:
            CassetteError: Nothing is recorded in this mode.
        """
        if self._recorder is None:
            raise CassetteError(
                f"cassette {self.path} cannot be used in mode {self._mode!r}; use `none` or `once`"
            )
        return self._recorder

    @property
    def records(self) -> bool:
        """Whether requests that are not in the file are sent."""
        return self._recorder is not None

    @property
    def recordings(self) -> int:
        """How many answers were recorded."""
        return self._recorder.recordings if self._recorder is not None else 0

    def find(self, request: Request) -> Claim | None:
        """Claim what answers a request; None when it is to be recorded.

        Raises:
            CassetteError: The file is missing or broken, or holds no answer and must not be added to.
        """
        self._open()
        if self._player is None:
            return None
        return self._player.claim(request) if self._recorder is None else self._player.find(request)

    async def send(self, request: Request, inner: Callable[[], Transport]) -> TransportResponse:
        """Answer from the file, or from `inner`, which is made only then, while recording.

        Raises:
            CassetteError: The file is missing or broken, holds no answer, or cannot be written.
            AquilaError: What the inner transport raises, or raised when it was recorded.
        """
        found = self.find(request)
        if found is not None:
            return await self._ready.play(found)
        return await self.recorder.send(inner(), request)

    def send_sync(self, request: Request, inner: Callable[[], SyncTransport]) -> SyncResponse:
        """Do as `send` does, in a thread.

        Raises:
            CassetteError: The file is missing or broken, holds no answer, or cannot be written.
            AquilaError: What the inner transport raises, or raised when it was recorded.
        """
        found = self.find(request)
        if found is not None:
            return self._ready.play_sync(found)
        return send_sync(self.recorder, inner(), request)

    async def pause(self, seconds: float) -> None:
        """Wait between two requests as the replay's time goes."""
        await self._ready.pace.pause(seconds)

    def close(self) -> None:
        """Write what has come of answers that nobody finished reading. The deck may be used again.

        Raises:
            CassetteError: A secret is still inside, or the file cannot be written.
        """
        if self._recorder is not None:
            self._recorder.close()

    def _open(self) -> None:
        # Decided at the first request, once: the file that a recording makes must not turn it into a replay.
        with self._opening:
            if self._opened:
                return
            exists = signature(self.path) is not None
            goes_on = self._mode == "once" and (not exists or session.has_begun(self.path))
            exists |= self._mode == "new_episodes" and signature(standing(self.path)) is not None
            if self._mode == "none" or (exists and not goes_on and self._mode in {"once", "new_episodes"}):
                self._player = self._ready
            if goes_on or self._mode in {"all", "rewrite", "new_episodes"}:
                self._recorder = Recorder(self.path, rules=self._rules, mode=self._mode, waits=self._waits)
            self._opened = True
            note_opened(self, self._named_in)


class DeckTransport:
    """A deck as the transport of one call, over the transport that call would use without it.

    Args:
        deck: The cassette.
        make: Gives the call's own transport; called at most once, and only to record. Its owner closes it.
        shared: Whether others use the deck too, so that closing this transport leaves it alone.
    """

    def __init__(self, deck: Deck, make: Callable[[], Transport], *, shared: bool) -> None:
        self._deck = deck
        self._make = make
        self._shared = shared
        self._inner: Transport | None = None

    async def send(self, request: Request) -> TransportResponse:
        """Play or record one request.

        Raises:
            CassetteError: The file is missing or broken, holds no answer, or cannot be written.
            AquilaError: What the inner transport raises, or raised when it was recorded.
        """
        return await self._deck.send(request, self._transport)

    async def sleep(self, seconds: float) -> None:
        """Wait between two requests: as the replay's time goes, or for real once something was sent."""
        await (self._deck.pause(seconds) if self._inner is None else sleep_of(self._inner)(seconds))

    async def aclose(self) -> None:
        """Write answers that nobody finished reading, unless the deck is shared.

        Raises:
            CassetteError: A secret is still inside, or the file cannot be written.
        """
        if not self._shared:
            self._deck.close()

    def _transport(self) -> Transport:
        if self._inner is None:
            self._inner = self._make()
        return self._inner
