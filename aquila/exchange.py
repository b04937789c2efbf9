"""One HTTP exchange with a provider: a request goes out, events come in."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from aquila.clocks import Clocks
from aquila.endpoint import Decoder
from aquila.endpoint.surrogates import without_halves
from aquila.errors import AquilaError, ConnectionFailed, EmptyStream, ProtocolError, StreamTruncated
from aquila.events import Event
from aquila.rate_limits import RateLimits, read_rate_limits
from aquila.refusal import read_refusal
from aquila.transport.base import Request, Transport, TransportResponse
from aquila.transport.cut_short import CutShortError
from aquila.transport.gates import Permit, gathering
from aquila.transport.sse import ServerSentEvent, SSEDecoder

_WHOLE_BODY_BYTES = 64 * 1024 * 1024
_EXCERPT = 200
_BOM = b"\xef\xbb\xbf"
_OK = range(200, 300)
_DONE = b"[DONE]"
#: Seconds to wait for what may follow a finish reason: usage, which comes at once where it comes at all.
_LATE_SECONDS = 5.0
#: Seconds to wait for the end of the body behind the last event, so that the connection can be used again.
_DRAIN_SECONDS = 0.05


class Exchange:
    """Reads one response: status, kind of body, events, and whether it ended as it must.

    The body says what it is by its first byte: gateways label JSON as an event stream and the reverse.
    """

    def __init__(
        self,
        response: TransportResponse,
        decoder: Decoder,
        clocks: Clocks,
        url: str,
        permits: Sequence[Permit] = (),
    ) -> None:
        self._response = response
        self._permits = permits
        self._next_read = response.chunks.__anext__
        self._decoder = decoder
        self._clocks = clocks
        self._url = url
        self._sse: SSEDecoder | None = None
        self._whole = bytearray()
        self._events_seen = False
        self._finished = False
        #: What reading ended in, kept until the events before it are given out.
        self._failure: AquilaError | None = None
        #: The wire payloads so far.
        self.payloads: list[bytes] = []
        #: The provider's id of the request.
        self.request_id: str | None = response.headers.get("x-request-id")
        #: What the provider says of its limits; None if it says nothing.
        self.rate_limits: RateLimits | None = read_rate_limits(response.headers)

    @classmethod
    async def open(cls, transport: Transport, request: Request, decoder: Decoder, clocks: Clocks) -> Exchange:
        """Send the request and check the status of the response.

        Raises:
            AquilaError: No connection, a clock, or an error status, each as its own class.
        """
        clocks.new_request()
        with gathering() as permits:
            response = await clocks.wait_source(transport.send(request))
        if response.status not in _OK:
            try:
                raise await read_refusal(response, clocks, request.url)
            finally:
                await response.aclose()
        return cls(response, decoder, clocks, request.url, permits)

    @property
    def ended(self) -> bool:
        """True when the answer is whole, whatever happens to the connection from here on."""
        return self._decoder.ended

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self._response.status

    async def read(self) -> list[Event] | None:
        """Give the next events, or None at the end of a whole answer.

        Raises:
            StreamTruncated: The body ended before the answer did.
            EmptyStream: The body ended without one event.
            ProtocolError: The body is no event stream.
            AquilaError: The connection broke, a clock ran out, or the provider reported an error.
        """
        if self._failure is not None:
            raise self._failure
        while not self._decoder.closed:
            if self._decoder.ended:
                data = await self._read_late()
                if data is None:
                    return self._noted(self._at_end())
            else:
                try:
                    with self._clocks:
                        data = await self._next_read()
                except StopAsyncIteration:
                    return self._noted(self._at_end())
            events = self._take(data) if self._sse is None else self._decode(self._sse.feed(data))
            if events:
                return self._noted(events) if self._permits else events
            self._clocks.waited()
        await self._drain()
        return self._noted(self._end())

    def finish(self) -> list[Event]:
        """Give what only the end of a whole answer makes certain; nothing the second time."""
        if self._finished:
            return []
        self._finished = True
        return self._decoder.finish()

    async def aclose(self) -> None:
        """Free the connection."""
        await self._response.aclose()

    def _take(self, data: bytes) -> list[Event]:
        """Take the bytes of a read as long as it is not clear what kind of body this is."""
        self._whole += data
        if len(self._whole) < len(_BOM) and _BOM.startswith(bytes(self._whole)):
            return []
        if self._whole.startswith(_BOM):
            del self._whole[: len(_BOM)]
        if self._whole[:1].isspace():
            # Blank lines are keep-alives before a stream and mean nothing before JSON; they are not kept.
            self._whole = self._whole.lstrip()
        start = bytes(self._whole[:1])
        if not start:
            return []
        if start == b"<":
            raise self._no_stream("an HTML or XML page")
        if start in {b"{", b"["}:
            if len(self._whole) > _WHOLE_BODY_BYTES:
                raise self._no_stream(f"a JSON body of more than {_WHOLE_BODY_BYTES:,} bytes")
            return []
        self._sse = SSEDecoder()
        # What was held back for the decision is the head of the stream; it stays for the excerpt in an error.
        return self._decode(self._sse.feed(bytes(self._whole)))

    def _decode(self, server_events: Sequence[ServerSentEvent]) -> list[Event]:
        events: list[Event] = []
        decoder, payloads = self._decoder, self.payloads
        if server_events:
            self._events_seen = True
        for name, data in server_events:
            try:
                events += decoder.decode(name, data)
            except AquilaError as error:
                if not self._mend(error, name, data, events):
                    payloads.append(data)
                    if not events:
                        raise
                    # The same bytes in smaller reads would have given these events out before the error.
                    self._failure = error
                    break
            # The closing mark is no payload, and nothing counts behind it.
            if data != _DONE and (data[:1] > b" " or data.strip()):
                payloads.append(data)
            if decoder.closed:
                break
        return events

    def _mend(self, error: AquilaError, name: str, data: bytes, events: list[Event]) -> bool:
        """Decode what could not be read without the halves of characters in it; False if there are none."""
        mended = without_halves(data) if isinstance(error, ProtocolError) else data
        if mended == data:
            return False
        events += self._decoder.decode(name, mended)
        return True

    def _noted(self, events: list[Event] | None) -> list[Event] | None:
        """Tell the permits of the request what has come of its answer; one may end it behind that."""
        if not events:
            return events
        whole = self._decoder.ended
        for permit in self._permits:
            try:
                permit.note(events, whole=whole)
            except AquilaError as error:
                self._failure = self._failure or error
        return events

    def _at_end(self) -> list[Event] | None:
        if self._sse is not None:
            if events := self._decode_last(self._sse):
                return events
        elif self._whole.strip() and not self._events_seen:
            self._events_seen = True
            body = bytes(self._whole)
            self.payloads.append(body)
            return self._decoder.decode_whole(body)
        return self._end()

    def _end(self) -> list[Event] | None:
        self._check_whole()
        return self.finish() or None

    def _decode_last(self, sse: SSEDecoder) -> list[Event]:
        """Read an event whose blank line never came; one that was cut cannot be read and says nothing."""
        try:
            return self._decode(sse.flush())
        except ProtocolError:
            return []

    def _check_whole(self) -> None:
        if self._decoder.ended:
            return
        if not self._events_seen:
            raise self._empty()
        raise StreamTruncated(
            f"the stream from {self._url} ended before the answer did (no finish_reason or terminal event); "
            "what had come is in error.partial"
        )

    async def _read_late(self) -> bytes | None:
        """Read what a server still says behind the end of its answer; None if nothing comes in time."""
        late: list[bytes] = []

        async def read() -> None:
            async for data in self._response.chunks:
                late.append(data)
                return

        await self._clocks.wait_briefly(read(), _LATE_SECONDS)
        return late[0] if late else None

    async def _drain(self) -> None:
        with suppress(ConnectionFailed, ProtocolError, CutShortError):
            await self._clocks.wait_briefly(self._read_rest(), _DRAIN_SECONDS)

    async def _read_rest(self) -> None:
        async for _ in self._response.chunks:
            continue

    def _empty(self) -> ProtocolError | EmptyStream:
        if self._whole.strip():
            return self._no_stream("a body without one event")
        return EmptyStream(f"{self._url} answered {self._response.status} with an empty body")

    def _no_stream(self, what: str) -> ProtocolError:
        kind = self._response.headers.get("content-type", "none")
        excerpt = " ".join(bytes(self._whole[:_EXCERPT]).decode("utf-8", "replace").split())
        return ProtocolError(
            f"{self._url} answered {self._response.status} with {what} (content-type {kind}) instead of an event "
            f"stream; check the base URL: {excerpt}",
            request_id=self.request_id,
        )
