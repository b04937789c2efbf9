"""Faults put into a replay without editing its file: `with use("chat", faults=[Disconnect(after_chunks=3)]): ...`.

A fault is a pure change of one recorded interaction. It strikes `times` times, and not where it would change nothing; the
interaction it spoiled is then still there, so that a retry gets the recorded answer, as it would from a provider that
failed once.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from aquila.cassette.interaction import NO_ANSWER_STATUS, Failure, Interaction, TimedChunk
from aquila.errors import ConfigError

Clock = Literal["connect", "silence", "first_chunk", "idle", "total"]

_CLOCKS: dict[str, str] = {
    "connect": "ConnectTimeout",
    "silence": "SilenceTimeout",
    "first_chunk": "FirstChunkTimeout",
    "idle": "IdleTimeout",
    "total": "TotalTimeout",
}
#: Shorter digests would stand for several interactions.
_SHORTEST_KEY = 6
_FIRST_STATUS, _LAST_STATUS = 100, 599


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault(ABC):
    """What all faults have: where they strike, and how often."""

    #: A number as `aquila cassette show` prints it, from 1, or the beginning of an interaction's key; None is the next
    #: request, whichever it is, whose answer the fault can change.
    interaction: int | str | None = None
    times: int = 1

    #: Whether the interaction counts as played once the fault has struck.
    consumes: ClassVar[bool] = False

    def __post_init__(self) -> None:
        at, times = self.interaction, self.times
        if isinstance(at, bool) or (isinstance(at, int) and at < 1):
            raise ConfigError(f"interaction={at!r} is no number of an interaction; they count from 1")
        if isinstance(at, str) and len(at) < _SHORTEST_KEY:
            raise ConfigError(
                f"interaction={at!r} is too short for a key; give {_SHORTEST_KEY} characters of it or more"
            )
        if times < 1:
            raise ConfigError(f"times={times!r} must be 1 or more")

    @property
    def wait(self) -> float:
        """Seconds to wait before the first byte, whatever the speed of the replay."""
        return 0.0

    def strikes(self, number: int, interaction: Interaction) -> bool:
        """Tell whether an interaction, counted from 1, is the one meant."""
        at = self.interaction
        return at is None or at == number or (isinstance(at, str) and interaction.key.startswith(at))

    def changes(self, interaction: Interaction) -> bool:
        """Tell whether anything is different with the fault."""
        return self.apply(interaction) != interaction

    @abstractmethod
    def apply(self, interaction: Interaction) -> Interaction:
        """Give the interaction as the fault leaves it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnect(Fault):
    """The connection breaks after so many chunks; None: before the answer begins."""

    after_chunks: int | None = 0

    def __post_init__(self) -> None:
        Fault.__post_init__(self)
        _check_count("after_chunks", self.after_chunks)

    def apply(self, interaction: Interaction) -> Interaction:
        """Give the interaction with its end cut off and an error in its place."""
        failure = Failure(error="ConnectionFailed", message="a fault broke the connection")
        return _broken(interaction, self.after_chunks, failure)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeout(Fault):
    """A clock runs out after so many chunks; None: before the answer begins."""

    clock: Clock = "silence"
    after_chunks: int | None = None
    #: What the error says the limit was, in seconds.
    seconds: float = 0.0

    def __post_init__(self) -> None:
        Fault.__post_init__(self)
        if self.clock not in _CLOCKS:
            raise ConfigError(f"clock={self.clock!r} is unknown; use one of {', '.join(_CLOCKS)}")
        _check_count("after_chunks", self.after_chunks)
        _check_seconds("seconds", self.seconds)

    def apply(self, interaction: Interaction) -> Interaction:
        """Give the interaction with its end cut off and a time-out in its place."""
        failure = Failure(
            error=_CLOCKS[self.clock],
            message=f"a fault let the {self.clock} clock run out",
            seconds=self.seconds,
        )
        return _broken(interaction, self.after_chunks, failure)


@dataclass(frozen=True, slots=True, kw_only=True)
class Status(Fault):
    """The provider answers with a status instead, such as 429 with a Retry-After header."""

    code: int
    #: Seconds, for the header `retry-after`; None for no such header.
    retry_after: float | None = None
    #: None writes an error as OpenAI words it.
    body: bytes | None = None

    def __post_init__(self) -> None:
        Fault.__post_init__(self)
        if not _FIRST_STATUS <= self.code <= _LAST_STATUS:
            raise ConfigError(f"code={self.code!r} is no HTTP status")
        _check_seconds("retry_after", self.retry_after)

    def apply(self, interaction: Interaction) -> Interaction:
        """Give the answer with this status."""
        said = {"error": {"message": f"a fault answered {self.code}", "type": "fault", "code": None}}
        body = json.dumps(said).encode() if self.body is None else self.body
        headers = {"content-type": "application/json"}
        if self.retry_after is not None:
            headers["retry-after"] = f"{self.retry_after:g}"
        at_ms = interaction.head_ms
        return replace(
            interaction,
            status=self.code, reason="", headers=headers, chunks=(TimedChunk(at_ms, body),) if body else (),
            end="complete", failure=None, total_ms=at_ms,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Truncate(Fault):
    """The body ends after so many bytes, without an error: the connection was closed in good order, too early."""

    after_bytes: int

    def __post_init__(self) -> None:
        Fault.__post_init__(self)
        _check_count("after_bytes", self.after_bytes)

    def apply(self, interaction: Interaction) -> Interaction:
        """Give the interaction with fewer bytes; as it is if it has no more."""
        if self.after_bytes >= len(interaction.body):
            return interaction
        kept, left = [], self.after_bytes
        for chunk in interaction.chunks:
            if left <= 0:
                break
            kept.append(TimedChunk(chunk.at_ms, chunk.data[:left]))
            left -= len(chunk.data)
        headers = {name: value for name, value in interaction.headers.items() if name != "content-length"}
        return replace(interaction, headers=headers, chunks=tuple(kept), end="complete", failure=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Garble(Fault):
    """The bytes of one chunk, counted from 0, are damaged so that no JSON in it can be read."""

    chunk: int = 0

    def __post_init__(self) -> None:
        Fault.__post_init__(self)
        _check_count("chunk", self.chunk)

    def apply(self, interaction: Interaction) -> Interaction:
        """Give the interaction with zero bytes where the chunk has quotation marks."""
        chunks = list(interaction.chunks)
        if self.chunk < len(chunks):
            damaged = chunks[self.chunk]
            chunks[self.chunk] = TimedChunk(damaged.at_ms, damaged.data.replace(b'"', b"\0"))
        return replace(interaction, chunks=tuple(chunks))


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowFirstByte(Fault):
    """The first byte comes so many seconds later, in real time at any speed: what a test of a time-out waits for."""

    seconds: float
    consumes: ClassVar[bool] = True

    def __post_init__(self) -> None:
        Fault.__post_init__(self)
        _check_seconds("seconds", self.seconds)

    @property
    def wait(self) -> float:
        """Seconds to wait before the first byte."""
        return self.seconds

    def apply(self, interaction: Interaction) -> Interaction:
        """Give the interaction as it is."""
        return interaction

    def changes(self, interaction: Interaction) -> bool:
        """Tell whether there is a first byte to wait for."""
        return self.wait > 0 and interaction.status != NO_ANSWER_STATUS


def _check_count(name: str, value: int | None) -> None:
    if value is not None and (not isinstance(value, int) or value < 0):
        raise ConfigError(f"{name}={value!r} must be a whole number, 0 or more")


def _check_seconds(name: str, value: float | None) -> None:
    if value is not None and not 0 <= value < float("inf"):
        raise ConfigError(f"{name}={value!r} must be 0 or more seconds")


def _broken(interaction: Interaction, after_chunks: int | None, failure: Failure) -> Interaction:
    if after_chunks is None:
        return replace(
            interaction,
            status=NO_ANSWER_STATUS,
            chunks=(),
            end="error",
            failure=failure,
            total_ms=interaction.head_ms,
        )
    if after_chunks > len(interaction.chunks):
        return interaction
    kept = interaction.chunks[:after_chunks]
    at_ms = kept[-1].at_ms if kept else interaction.head_ms
    return replace(interaction, chunks=kept, end="error", failure=failure, total_ms=at_ms)
