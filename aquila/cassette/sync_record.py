"""Recording for callers that block: the same file, the same tee, no event loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress

from aquila.cassette.record import Recorder, uncompressed
from aquila.cassette.tape import Tape
from aquila.cassette.tee import ERROR_BYTES, ERROR_STATUS
from aquila.errors import ConnectionFailed, ProtocolError, TimeoutExceeded
from aquila.transport.base import Request
from aquila.transport.sync_base import SyncResponse, SyncTransport


def send_sync(recorder: Recorder, inner: SyncTransport, request: Request) -> SyncResponse:
    """Send a request through `inner`, without content encoding, and record what comes.

    Args:
        recorder: Writes the file.
        inner: Does the sending.
        request: What to send.

    Raises:
        CassetteError: The cassette is broken or cannot be written; nothing was sent.
        ConnectionFailed: No connection could be made, which is recorded.
        TimeoutExceeded: It took too long, which is recorded.
        ProtocolError: What came is no HTTP, or not encoded as it says, which is recorded.
        AquilaError: What else `inner` raises.
    """
    tape = recorder.begin(request)
    try:
        response = inner.send_sync(uncompressed(request))
    except (ConnectionFailed, TimeoutExceeded, ProtocolError) as error:
        recorder.end(tape, "error", error)
        raise
    except BaseException:
        recorder.give_up(tape)
        raise
    tape.answered(response.status, response.headers)
    return _RecordedResponse(response, _Tee(response, tape, recorder))


class _Tee:
    """Passes chunks on and keeps them."""

    __slots__ = ("_clock", "_ended", "_headers", "_keep", "_next", "_recorder", "_tape")

    def __init__(self, response: SyncResponse, tape: Tape, recorder: Recorder) -> None:
        self._tape = tape
        self._headers = response.headers
        self._next: Callable[[], bytes] = response.chunks.__next__
        self._ended = False
        self._keep = tape.parts.append
        self._clock = tape.clock
        self._recorder = recorder

    def __iter__(self) -> _Tee:
        return self

    def __next__(self) -> bytes:
        try:
            chunk = self._next()
        except StopIteration:
            self._ended = True
            self._recorder.end(self._tape, "complete")
            raise
        except (ConnectionFailed, TimeoutExceeded, ProtocolError) as error:
            self._ended = True
            self._recorder.end(self._tape, "error", error)
            raise
        self._keep((self._clock(), chunk))
        return chunk

    def read_short_rest(self) -> None:
        """Read on if the error's body says that it is short; without a clock nothing else bounds the wait."""
        length = self._headers.get("content-length", "")
        if not self._ended and length.isdecimal() and int(length) <= ERROR_BYTES:
            with suppress(
                ConnectionFailed, TimeoutExceeded, ProtocolError
            ):  # They are recorded; the reader has left.
                for _ in self:
                    continue

    def cut(self) -> None:
        self._recorder.end(self._tape, "cut")


class _RecordedResponse:
    __slots__ = ("_chunks", "_inner")

    def __init__(self, inner: SyncResponse, chunks: _Tee) -> None:
        self._inner = inner
        self._chunks = chunks

    @property
    def status(self) -> int:
        return self._inner.status

    @property
    def headers(self) -> Mapping[str, str]:
        return self._inner.headers

    @property
    def chunks(self) -> Iterator[bytes]:
        return self._chunks

    def close(self) -> None:
        try:
            if self.status >= ERROR_STATUS:
                self._chunks.read_short_rest()
        finally:
            try:
                self._inner.close()
            finally:
                self._chunks.cut()
