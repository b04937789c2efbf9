"""An answer that is read and recorded at the same time: each chunk passes on at once, unchanged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping
from typing import Protocol, TypeAlias

import anyio

from aquila.cassette.interaction import End
from aquila.cassette.tape import Tape
from aquila.clocks import EnoughError
from aquila.errors import ConnectionFailed, ProtocolError, TimeoutExceeded
from aquila.transport.base import TransportResponse

#: What ends an answer, or stands in its place, and is recorded.
Broken: TypeAlias = ConnectionFailed | TimeoutExceeded | ProtocolError

#: The lowest status that is an error.
ERROR_STATUS = 400
#: Bytes and seconds for the body of an error that its reader leaves unread, as many clients do before a retry.
ERROR_BYTES = 64 * 1024
_ERROR_SECONDS = 1.0


class Finish(Protocol):
    """Writes a tape; the first call counts."""

    def __call__(self, tape: Tape, end: End, error: Broken | None = None, /) -> Awaitable[None]:
        """Write it. Raises CassetteError if it cannot be written."""


class RecordedResponse:
    """The response of the transport below, with its body going through a tee."""

    __slots__ = ("_chunks", "_finish", "_inner", "_tape")

    def __init__(self, inner: TransportResponse, tape: Tape, finish: Finish) -> None:
        self._inner = inner
        self._tape = tape
        self._finish = finish
        self._chunks = _Tee(inner.chunks, tape, finish)

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self._inner.status

    @property
    def headers(self) -> Mapping[str, str]:
        """Lower-case names."""
        return self._inner.headers

    @property
    def chunks(self) -> AsyncIterator[bytes]:
        """The body."""
        return self._chunks

    async def aclose(self) -> None:
        """Free the connection, and write what was read.

        Raises:
            CassetteError: It cannot be written.
        """
        try:
            if self.status >= ERROR_STATUS:
                await self._chunks.read_short_rest()
        finally:
            try:
                await self._inner.aclose()
            finally:
                await self._finish(self._tape, "cut")


class _Tee:
    """Passes chunks on and keeps them. A class and not an async generator, so that closing early is safe."""

    __slots__ = ("_clock", "_ended", "_finish", "_keep", "_next", "_tape")

    def __init__(self, chunks: AsyncIterator[bytes], tape: Tape, finish: Finish) -> None:
        self._tape = tape
        self._finish = finish
        self._next = chunks.__anext__
        self._keep = tape.parts.append
        self._clock = tape.clock
        self._ended = False

    def __aiter__(self) -> _Tee:
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await self._next()
        except StopAsyncIteration:
            self._ended = True
            await self._finish(self._tape, "complete")
            raise
        except (ConnectionFailed, TimeoutExceeded, ProtocolError) as error:
            self._ended = True
            await self._finish(self._tape, "error", error)
            raise
        except asyncio.CancelledError as error:
            self._ended = True
            if (timeout := timeout_behind(error)) is not None:
                await self._finish(self._tape, "error", timeout)
            elif is_enough(error):
                await self._finish(self._tape, "complete")
            raise
        self._keep((self._clock(), chunk))
        return chunk

    async def read_short_rest(self) -> None:
        """Read on if little can be left: the error's words are worth more in the file than its absence."""
        left = ERROR_BYTES
        with anyio.move_on_after(_ERROR_SECONDS):
            while not self._ended and left > 0:
                try:
                    left -= len(await anext(self))
                except (StopAsyncIteration, ConnectionFailed, TimeoutExceeded, ProtocolError):
                    return  # It is recorded; the reader has left and is told nothing.


def is_enough(error: asyncio.CancelledError) -> bool:
    """Tell whether the reader has the whole answer, and has only waited in vain for what may follow it."""
    return bool(error.args) and isinstance(error.args[0], EnoughError)


def timeout_behind(error: BaseException) -> TimeoutExceeded | None:
    """Give the time-out of the client's that a cancellation stands for; None for any other cancellation."""
    cause = error.args[0] if isinstance(error, asyncio.CancelledError) and error.args else None
    return cause if isinstance(cause, TimeoutExceeded) else None
