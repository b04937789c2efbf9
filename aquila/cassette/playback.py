"""One recorded answer while it is played: its chunks, on one absolute schedule, to a task or to a thread."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, NoReturn

import anyio
from anyio.lowlevel import checkpoint

from aquila.cassette.interaction import NO_ANSWER_STATUS, Failure, Interaction
from aquila.errors import (
    AquilaError,
    ConfigError,
    ConnectionFailed,
    ConnectTimeout,
    FirstChunkTimeout,
    IdleTimeout,
    ProtocolError,
    SilenceTimeout,
    TimeoutExceeded,
    TotalTimeout,
)

_TIMEOUTS: dict[str, type[TimeoutExceeded]] = {
    error.__name__: error
    for error in (ConnectTimeout, SilenceTimeout, FirstChunkTimeout, IdleTimeout, TotalTimeout)
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast to play, and by which clock."""

    #: 0 plays without waiting, 1 in the recorded time, n at n times its speed.
    speed: float = 0.0
    #: Seconds.
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[object]] = anyio.sleep
    #: The same for a thread.
    block: Callable[[float], object] = time.sleep

    async def pause(self, seconds: float) -> None:
        """Wait as the replay's time goes: a back-off between two requests."""
        await (self.sleep(seconds / self.speed) if self.speed else checkpoint())


def check_speed(speed: float) -> float:
    """Give the speed back.

    Raises:
        ConfigError: It is negative.
    """
    if not 0 <= speed < float("inf"):
        raise ConfigError(
            f"speed={speed} is no speed; use 0 for no waiting, 1 for the recorded time, 10 for ten times it"
        )
    return speed


class Schedule:
    """One absolute schedule, so that the lateness of one chunk does not delay the next."""

    __slots__ = ("_pace", "_start")

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._start = pace.clock()

    def left(self, at_ms: float) -> float:
        """Give the seconds until something is due; 0 or less when it is."""
        speed = self._pace.speed
        return self._start + at_ms / 1000 / speed - self._pace.clock() if speed else 0.0

    def put_off(self, seconds: float) -> None:
        """Make everything due later."""
        self._start += seconds

    async def until(self, at_ms: float) -> None:
        """Wait in a task."""
        wait = self.left(at_ms)
        if wait > 0:
            await self._pace.sleep(wait)
        else:
            await checkpoint()  # A source never answers without letting others run; nor does this one.

    def block_until(self, at_ms: float) -> None:
        """Wait in a thread."""
        wait = self.left(at_ms)
        if wait > 0:
            self._pace.block(wait)


class Step(NamedTuple):
    """What an answer does next: bytes, or its end."""

    at_ms: float
    #: None for the end.
    data: bytes | None


class Playback:
    """The body of one answer, step by step.

    Args:
        interaction: What to play.
        schedule: When.
        cut_short: Raised in the place of the end when the recording was ended by its reader.
    """

    __slots__ = ("_cut_short", "_ended", "_interaction", "_position", "_schedule")

    def __init__(
        self, interaction: Interaction, schedule: Schedule, cut_short: Callable[[int], AquilaError]
    ) -> None:
        self._interaction = interaction
        self._schedule = schedule
        self._cut_short = cut_short
        self._position = 0
        self._ended = False

    def close(self) -> None:
        """Play no more."""
        self._ended = True

    def __aiter__(self) -> Playback:
        return self

    async def __anext__(self) -> bytes:
        if self._ended:
            raise StopAsyncIteration
        step = self._step()
        await self._schedule.until(step.at_ms)
        if step.data is None:
            self._end()
            raise StopAsyncIteration
        return step.data

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._ended:
            raise StopIteration
        step = self._step()
        self._schedule.block_until(step.at_ms)
        if step.data is None:
            self._end()
            raise StopIteration
        return step.data

    def _step(self) -> Step:
        chunks = self._interaction.chunks
        if self._position >= len(chunks):
            return Step(self._interaction.total_ms, None)
        chunk = chunks[self._position]
        self._position += 1
        return Step(chunk.at_ms, chunk.data)

    def _end(self) -> None:
        self._ended = True
        if self._interaction.failure is not None:
            fail(self._interaction.failure)
        if self._interaction.end in {"cut", "abandoned"}:
            raise self._cut_short(self._position)


class ReplayedResponse:
    """An answer, for a task or for a thread."""

    __slots__ = ("_interaction", "chunks")

    def __init__(self, interaction: Interaction, playback: Playback) -> None:
        self._interaction = interaction
        #: The body, in the recorded chunks.
        self.chunks = playback

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self._interaction.status

    @property
    def headers(self) -> Mapping[str, str]:
        """Lower-case names."""
        return self._interaction.headers

    async def aclose(self) -> None:
        """Play no more."""
        self.close()

    def close(self) -> None:
        """Play no more."""
        self.chunks.close()


def is_unanswered(interaction: Interaction) -> bool:
    """Tell whether a failure stands in the answer's place."""
    return interaction.failure is not None and interaction.status == NO_ANSWER_STATUS


def fail(failure: Failure) -> NoReturn:
    """Raise a recorded failure.

    Raises:
        TimeoutExceeded: A clock ran out, or the connection was not made in time.
        ProtocolError: What came was no HTTP, or not encoded as it said.
        ConnectionFailed: The connection broke.
    """
    if failure.error in _TIMEOUTS:
        raise _TIMEOUTS[failure.error](failure.message or failure.error, seconds=failure.seconds or 0.0)
    if failure.error == ProtocolError.__name__:
        raise ProtocolError(failure.message or failure.error)
    # Other tools' names (ReadTimeout, RemoteProtocolError) all mean that the connection broke.
    known = failure.error == ConnectionFailed.__name__ and failure.message
    raise ConnectionFailed(failure.message if known else f"{failure.error}: {failure.message or 'recorded'}")
