"""Recording while the answer streams: each chunk passes on at once, and the whole is written when the answer has ended."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import anyio
from anyio import to_thread

from aquila.cassette import session
from aquila.cassette.interaction import End, Failure
from aquila.cassette.match import request_key
from aquila.cassette.mode import Mode
from aquila.cassette.redact import Secret, environment_secrets
from aquila.cassette.slot import Slot
from aquila.cassette.store import Replaceable, Store, open_store
from aquila.cassette.tape import Tape
from aquila.errors import ConnectionFailed, TimeoutExceeded
from aquila.transport.base import Request, Transport, TransportResponse


def utc_now() -> datetime:
    """Give the time of day, aware."""
    return datetime.now(UTC)  # noqa: TID251 - the edge where the recorder's clock comes from


class Recorder:
    """Records what any number of requests, also concurrent ones, get from their transports into one file.

    Args:
        path: The cassette; nothing is read or written before the first request.
        secrets: Values that must not be written, besides those of the environment and of the request itself.
        mode: `all` puts an interaction in the place of an equal one that was in the file before this process's
            recording, None in the place of one from before this recorder's; `rewrite` drops all that was there before
            this process's recording; in the others all are kept and new ones follow. In `once` nothing is written
            until an answer has come to its end.
        clock: Seconds, for the times of chunks.
        now: The time of day, aware.
    """

    def __init__(
        self,
        path: Path,
        *,
        secrets: Iterable[str] = (),
        mode: Mode | None = None,
        clock: Callable[[], float] = time.perf_counter,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._path = path
        self._given = tuple(Secret("a secret given to the recorder", value) for value in secrets if value)
        self._mode = mode
        self._clock = clock
        self._now = now
        self._store: Store | None = None
        self._replaceable: Replaceable = {}
        self._opening = threading.Lock()
        self._tapes: set[Tape] = set()
        #: Those that may wait for a reason to make the file.
        self._waiting: list[Slot] = []

    async def send(self, inner: Transport, request: Request) -> TransportResponse:
        """Send a request through `inner`, without content encoding, and record what comes.

        Raises:
            CassetteError: The cassette is broken or cannot be written; nothing was sent.
            ConnectionFailed: No connection could be made, which is recorded.
            TimeoutExceeded: It took too long, which is recorded.
            AquilaError: What else `inner` raises.
        """
        tape = self._tape(request)
        plain = replace(request, headers={**request.headers, "accept-encoding": "identity"})
        try:
            response = await inner.send(plain)
        except (ConnectionFailed, TimeoutExceeded) as error:
            await self.finish(tape, "error", error)
            raise
        except BaseException:
            tape.discard()
            self._tapes.discard(tape)
            raise
        tape.answered(response.status, response.headers)
        return _RecordedResponse(response, _Tee(response.chunks, tape, self))

    async def finish(
        self, tape: Tape, end: End, error: ConnectionFailed | TimeoutExceeded | None = None
    ) -> None:
        """Write a tape, whole even when the reader is being cancelled.

        Raises:
            CassetteError: A secret is still inside, or the file cannot be written.
        """
        failure = None
        if error is not None:
            seconds = error.seconds if isinstance(error, TimeoutExceeded) else None
            message = str(error).encode(errors="backslashreplace").decode()
            failure = Failure(error=type(error).__name__, message=message, seconds=seconds)
        self._tapes.discard(tape)
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(tape.finish, end, failure)

    def close(self) -> None:
        """Write what has come of answers that nobody finished reading. The recorder may be used again.

        Raises:
            CassetteError: A secret is still inside, or the file cannot be written.
        """
        while self._tapes:
            self._tapes.pop().abandon()
        if self._store is not None:
            self._store.withdraw(self._waiting)
        self._waiting.clear()

    def _opened(self) -> Store:
        with self._opening:
            if self._store is None:
                store = open_store(self._path, rewrite=self._mode == "rewrite")
                if self._mode in {None, "all"}:
                    recorded = session.renewed(self._path) if self._mode else frozenset()
                    self._replaceable = store.replaceable(but=recorded)
                self._store = store
            return self._store

    def _tape(self, request: Request) -> Tape:
        store = self._opened()
        key = request_key(request)
        slot = store.reserve(key, self._replaceable, mode=self._mode)
        if self._mode == "once":
            self._waiting.append(slot)
        tape = Tape(
            store,
            slot,
            request,
            key=key,
            secrets=(*self._given, *environment_secrets(os.environ)),
            clock=self._clock,
            recorded_at=self._now(),
        )
        self._tapes.add(tape)
        return tape


class RecordTransport:
    """Sends through another transport and records, while answers stream, into a cassette.

    A request equal to one in the file replaces it; all others stay. Chunks pass unchanged and at once; the file is
    written whole after each answer. If it cannot be written, the error comes when the answer has ended, not inside it.

    Args:
        inner: Does the sending; closed with this transport.
        path: The cassette file.
        secrets: Values that must not be written, besides those of the environment and of the request itself.
        clock: Seconds, for the times of chunks.
        now: The time of day, aware.
    """

    def __init__(
        self,
        inner: Transport,
        path: str | Path,
        *,
        secrets: Iterable[str] = (),
        clock: Callable[[], float] = time.perf_counter,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._inner = inner
        self._recorder = Recorder(Path(path), secrets=secrets, clock=clock, now=now)

    async def send(self, request: Request) -> TransportResponse:
        """Send one request and record what comes.

        Raises:
            CassetteError: The cassette is broken or cannot be written; nothing was sent.
            AquilaError: What the inner transport raises; network failures are recorded.
        """
        return await self._recorder.send(self._inner, request)

    async def aclose(self) -> None:
        """Write answers that nobody finished reading, and close the inner transport.

        Raises:
            CassetteError: A secret is still inside, or the file cannot be written.
        """
        try:
            self._recorder.close()
        finally:
            await self._inner.aclose()


class _Tee:
    """Passes chunks on and keeps them. A class and not an async generator, so that closing early is safe."""

    __slots__ = ("_clock", "_keep", "_next", "_recorder", "tape")

    def __init__(self, chunks: AsyncIterator[bytes], tape: Tape, recorder: Recorder) -> None:
        self.tape = tape
        self._next = chunks.__anext__
        self._keep = tape.parts.append
        self._clock = tape.clock
        self._recorder = recorder

    def __aiter__(self) -> _Tee:
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await self._next()
        except StopAsyncIteration:
            await self._recorder.finish(self.tape, "complete")
            raise
        except (ConnectionFailed, TimeoutExceeded) as error:
            await self._recorder.finish(self.tape, "error", error)
            raise
        self._keep((self._clock(), chunk))
        return chunk

    async def cut(self) -> None:
        await self._recorder.finish(self.tape, "cut")


class _RecordedResponse:
    __slots__ = ("_chunks", "_inner")

    def __init__(self, inner: TransportResponse, chunks: _Tee) -> None:
        self._inner = inner
        self._chunks = chunks

    @property
    def status(self) -> int:
        return self._inner.status

    @property
    def headers(self) -> Mapping[str, str]:
        return self._inner.headers

    @property
    def chunks(self) -> AsyncIterator[bytes]:
        return self._chunks

    async def aclose(self) -> None:
        try:
            await self._inner.aclose()
        finally:
            await self._chunks.cut()
