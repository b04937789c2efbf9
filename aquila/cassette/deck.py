"""A cassette in use: what it can it plays, what it must it records, as its mode says."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from aquila.cassette import session
from aquila.cassette.disk import signature
from aquila.cassette.mode import Mode
from aquila.cassette.record import Recorder
from aquila.cassette.replay import Player
from aquila.errors import CassetteError
from aquila.transport.base import Request, Transport, TransportResponse


class Deck:
    """One cassette for everybody who shares it: interactions are played once among them all.

    Args:
        path: The cassette file.
        mode: Any but `off`.
        secrets: Values that must not be written.
    """

    def __init__(self, path: Path, mode: Mode, *, secrets: Iterable[str] = ()) -> None:
        self._path = path
        self._mode = mode
        self._secrets = tuple(secrets)
        self._opening = threading.Lock()
        self._opened = False
        self._player: Player | None = None
        self._recorder: Recorder | None = None

    async def send(self, request: Request, inner: Callable[[], Transport]) -> TransportResponse:
        """Answer from the file, or from `inner`, which is made only then, while recording.

        Raises:
            CassetteError: The file is missing or broken, holds no answer, or cannot be written.
            AquilaError: What the inner transport raises, or raised when it was recorded.
        """
        self._open()
        if self._recorder is None and self._player is not None:
            return await self._player.play(self._player.claim(request))
        found = self._player.find(request) if self._player is not None else None
        if self._player is not None and found is not None:
            return await self._player.play(found)
        if self._recorder is None:
            raise CassetteError(
                f"cassette {self._path} cannot be used in mode {self._mode!r}; use `none` or `once`"
            )
        return await self._recorder.send(inner(), request)

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
            exists = signature(self._path) is not None
            goes_on = self._mode == "once" and (not exists or session.has_begun(self._path))
            if self._mode == "none" or (exists and not goes_on and self._mode in {"once", "new_episodes"}):
                self._player = Player(self._path)
            if goes_on or self._mode in {"all", "rewrite", "new_episodes"}:
                self._recorder = Recorder(self._path, secrets=self._secrets, mode=self._mode)
            self._opened = True


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
