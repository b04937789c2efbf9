"""Replaying: recorded answers with their chunk boundaries, at any speed, with no socket and no model."""

from __future__ import annotations

import os
import shlex
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import NoReturn

import anyio
from anyio.lowlevel import checkpoint

from aquila.cassette.disk import read
from aquila.cassette.drift import explain
from aquila.cassette.interaction import NO_ANSWER_STATUS, Failure, Interaction
from aquila.cassette.match import Index, request_key
from aquila.errors import (
    CassetteError,
    CassetteMismatch,
    CassetteMissing,
    ConfigError,
    ConnectionFailed,
    ConnectTimeout,
    FirstChunkTimeout,
    IdleTimeout,
    SilenceTimeout,
    TimeoutExceeded,
    TotalTimeout,
)
from aquila.transport.base import Request, TransportResponse

_TIMEOUTS: dict[str, type[TimeoutExceeded]] = {
    error.__name__: error
    for error in (ConnectTimeout, SilenceTimeout, FirstChunkTimeout, IdleTimeout, TotalTimeout)
}


class Player:
    """Plays the interactions of one file, each once, equal requests in the order they were recorded.

    Args:
        path: The cassette; nothing is read before the first request.
        speed: 0 plays without waiting, 1 in the recorded time, n at n times its speed.
        clock: Seconds, for the schedule.
        sleep: Waits for seconds.

    Raises:
        ConfigError: The speed is negative.
    """

    def __init__(
        self,
        path: Path,
        *,
        speed: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = anyio.sleep,
    ) -> None:
        if speed < 0:
            raise ConfigError(f"speed={speed} is negative; use 0 for no waiting, 1 for the recorded time")
        self._path = path
        self._speed = speed
        self._clock = clock
        self._sleep = sleep
        self._reading = threading.Lock()
        self._index: Index | None = None

    def find(self, request: Request) -> Interaction | None:
        """Claim the interaction that answers a request; None if there is none or all equal ones are played.

        Raises:
            CassetteMissing: There is no such file.
            CassetteError: The file is broken.
        """
        with self._reading:
            if self._index is None:
                interactions = read(self._path)
                if interactions is None:
                    raise CassetteMissing(
                        f"cassette {self._path} does not exist; record it: AQUILA_CASSETTES=once {_command()}"
                    )
                self._index = Index(interactions)
        return self._index.claim(request_key(request))

    def claim(self, request: Request) -> Interaction:
        """Claim the interaction that answers a request.

        Raises:
            CassetteMissing: There is no such file.
            CassetteMismatch: No interaction is left that equals the request; says what differs.
            CassetteError: The file is broken.
        """
        interaction = self.find(request)
        if interaction is None:
            raise self._mismatch(request)
        return interaction

    async def play(self, interaction: Interaction) -> TransportResponse:
        """Answer with an interaction, on its schedule.

        Raises:
            AquilaError: The network failure that was recorded in an answer's place.
        """
        schedule = _Schedule(self._speed, self._clock, self._sleep)
        if interaction.failure is not None and interaction.status == NO_ANSWER_STATUS:
            await schedule.until(interaction.total_ms)
            _fail(interaction.failure)
        await schedule.until(interaction.head_ms)
        return _ReplayedResponse(interaction, _Playback(interaction, schedule, self._path))

    def _mismatch(self, request: Request) -> CassetteMismatch:
        drift = explain(request, self._index or Index(()))
        remedy = (
            f"to record it beside the others: AQUILA_CASSETTES=new_episodes {_command()}; "
            f"to empty the file first: AQUILA_CASSETTES=rewrite {_command()}"
        )
        asked = f"{request.method} {request.url.partition('?')[0]}"
        if drift.reason == "empty":
            return CassetteMismatch(
                f"cassette {self._path} holds no interactions, so none answers {asked}; {remedy}"
            )
        if drift.reason == "already_played":
            return CassetteMismatch(
                f"cassette {self._path}: {asked} equals interaction {drift.number}, which is already played: "
                f"the request is sent more often than it was recorded; {remedy}"
            )
        diff = "\n".join(drift.lines)
        more = f" (and {len(drift.lines) - 1} more)" if len(drift.lines) > 1 else ""
        mismatch = CassetteMismatch(
            f"cassette {self._path}: no recorded interaction equals {asked}; "
            f"the nearest is {drift.number}, which differs in {drift.lines[0]}{more}; {remedy}",
            diff=diff,
        )
        mismatch.add_note(diff)
        return mismatch


class ReplayTransport:
    """Answers from a cassette and never from the network.

    Args:
        path: The cassette file; read at the first request.
        speed: 0 plays without waiting, 1 in the recorded time, n at n times its speed.
        clock: Seconds, for the schedule.
        sleep: Waits for seconds.

    Raises:
        ConfigError: The speed is negative.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        speed: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = anyio.sleep,
    ) -> None:
        self._player = Player(Path(path), speed=speed, clock=clock, sleep=sleep)

    async def send(self, request: Request) -> TransportResponse:
        """Answer a request with the recorded interaction that equals it.

        Raises:
            CassetteMissing: There is no such file.
            CassetteMismatch: No interaction is left that equals the request; says what differs.
            CassetteError: The file is broken.
            AquilaError: The network failure that was recorded.
        """
        return await self._player.play(self._player.claim(request))

    async def aclose(self) -> None:
        """Do nothing: there is nothing to free, and what is played stays played."""


class _Schedule:
    """One absolute schedule, so that the lateness of one chunk does not delay the next."""

    __slots__ = ("_clock", "_sleep", "_speed", "_start")

    def __init__(
        self, speed: float, clock: Callable[[], float], sleep: Callable[[float], Awaitable[object]]
    ) -> None:
        self._speed = speed
        self._clock = clock
        self._sleep = sleep
        self._start = clock()

    async def until(self, at_ms: int) -> None:
        wait = self._start + at_ms / 1000 / self._speed - self._clock() if self._speed else 0.0
        if wait > 0:
            await self._sleep(wait)
        else:
            await checkpoint()  # A source never answers without letting others run; nor does this one.


class _Playback:
    __slots__ = ("_interaction", "_path", "_position", "_schedule", "ended")

    def __init__(self, interaction: Interaction, schedule: _Schedule, path: Path) -> None:
        self._interaction = interaction
        self._schedule = schedule
        self._path = path
        self._position = 0
        self.ended = False

    def __aiter__(self) -> _Playback:
        return self

    async def __anext__(self) -> bytes:
        if self.ended:
            raise StopAsyncIteration
        if self._position < len(self._interaction.chunks):
            chunk = self._interaction.chunks[self._position]
            self._position += 1
            await self._schedule.until(chunk.at_ms)
            return chunk.data
        await self._schedule.until(self._interaction.total_ms)
        self.ended = True
        if self._interaction.failure is not None:
            _fail(self._interaction.failure)
        if self._interaction.end in {"cut", "abandoned"}:
            raise CassetteError(
                f"cassette {self._path}: the recording of this answer was ended by its reader (for example by a "
                f"time-out) after {self._position} chunk{'' if self._position == 1 else 's'}, and now more is asked "
                f"for; record it again: AQUILA_CASSETTES=rewrite {_command()}"
            )
        raise StopAsyncIteration


class _ReplayedResponse:
    __slots__ = ("_chunks", "_interaction")

    def __init__(self, interaction: Interaction, chunks: _Playback) -> None:
        self._interaction = interaction
        self._chunks = chunks

    @property
    def status(self) -> int:
        return self._interaction.status

    @property
    def headers(self) -> Mapping[str, str]:
        return self._interaction.headers

    @property
    def chunks(self) -> AsyncIterator[bytes]:
        return self._chunks

    async def aclose(self) -> None:
        self._chunks.ended = True


def _fail(failure: Failure) -> NoReturn:
    if failure.error in _TIMEOUTS:
        raise _TIMEOUTS[failure.error](failure.message or failure.error, seconds=failure.seconds or 0.0)
    # Other tools' names (ReadTimeout, RemoteProtocolError) all mean that the connection broke.
    known = failure.error == ConnectionFailed.__name__ and failure.message
    raise ConnectionFailed(failure.message if known else f"{failure.error}: {failure.message or 'recorded'}")


def _command() -> str:
    test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]
    return f"pytest {shlex.quote(test)}" if test else "<your command>"
