"""One HTTP exchange with a provider: a request goes out, events come in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

import anyio

from aquila.clocks import Clocks
from aquila.endpoint import Decoder, status_error
from aquila.errors import ConnectionFailed, EmptyStream, ProtocolError, StreamTruncated
from aquila.events import Event
from aquila.transport.base import Request, Transport, TransportResponse
from aquila.transport.sse import ServerSentEvent, SSEDecoder

_ERROR_BODY_BYTES = 64 * 1024
_WHOLE_BODY_BYTES = 64 * 1024 * 1024
_EXCERPT = 200
_BOM = b"\xef\xbb\xbf"
_OK = range(200, 300)
#: Seconds to wait for the end of the body behind the last event, so that the connection can be used again.
_DRAIN_SECONDS = 0.05


class Exchange:
    """Reads one response: status, kind of body, events, and whether it ended as it must.

    The body says what it is by its first byte: gateways label JSON as an event stream and the reverse.
    """

    def __init__(self, response: TransportResponse, decoder: Decoder, clocks: Clocks, url: str) -> None:
        self._response = response
        self._decoder = decoder
        self._clocks = clocks
        self._url = url
        self._sse: SSEDecoder | None = None
        self._whole = bytearray()
        self._events_seen = False
        #: The wire payloads so far.
        self.payloads: list[bytes] = []
        #: The provider's id of the request.
        self.request_id: str | None = response.headers.get("x-request-id")

    @classmethod
    async def open(cls, transport: Transport, request: Request, decoder: Decoder, clocks: Clocks) -> Exchange:
        """Send the request and check the status of the response.

        Raises:
            AquilaError: No connection, a clock, or an error status, each as its own class.
        """
        clocks.new_request()
        response = await clocks.wait_source(transport.send(request))
        exchange = cls(response, decoder, clocks, request.url)
        if response.status not in _OK:
            try:
                await clocks.wait_source(exchange._refused())
            finally:
                await response.aclose()
        return exchange

    @property
    def ended(self) -> bool:
        """True when the answer is whole, whatever happens to the connection from here on."""
        return self._decoder.ended

    async def read(self) -> list[Event] | None:
        """Give the next events, or None at the end of a whole answer.

        Raises:
            StreamTruncated: The body ended before the answer did.
            EmptyStream: The body ended without one event.
            ProtocolError: The body is no event stream.
            AquilaError: The connection broke, a clock ran out, or the provider reported an error.
        """
        while not self._decoder.closed:
            try:
                data = await self._clocks.wait_source(anext(self._response.chunks))
            except StopAsyncIteration:
                return self._at_end()
            events = self._take(data)
            if events:
                return events
        await self._drain()
        self._check_whole()
        return None

    async def aclose(self) -> None:
        """Free the connection."""
        await self._response.aclose()

    def _take(self, data: bytes) -> list[Event]:
        if self._sse is not None:
            return self._decode(self._sse.feed(data))
        self._whole += data
        head = bytes(self._whole[:_EXCERPT])
        start = head.removeprefix(_BOM).lstrip()[:1]
        if not start or _BOM.startswith(head):
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
        for name, data in server_events:
            self._events_seen = True
            try:
                events += self._decoder.decode(name, data)
            finally:
                # The closing mark is no payload; a payload that reports an error is one.
                if not self._decoder.closed:
                    self.payloads.append(data)
        return events

    def _at_end(self) -> list[Event] | None:
        if self._sse is not None:
            if events := self._decode(self._sse.flush()):
                self._sse = SSEDecoder()
                return events
        elif self._whole.strip() and not self._events_seen:
            self._events_seen = True
            body = bytes(self._whole)
            self.payloads.append(body)
            return self._decoder.decode_whole(body)
        self._check_whole()
        return None

    def _check_whole(self) -> None:
        if self._decoder.ended:
            return
        if not self._events_seen:
            raise self._empty()
        raise StreamTruncated(
            f"the stream from {self._url} ended before the answer did (no finish_reason); "
            "what had come is in error.partial"
        )

    async def _refused(self) -> None:
        body = bytearray()
        async for data in self._response.chunks:
            body += data
            if len(body) > _ERROR_BODY_BYTES:
                break
        headers = self._response.headers
        raise status_error(
            self._response.status,
            bytes(body),
            url=self._url,
            retry_after=read_retry_after(headers),
            request_id=self.request_id,
        )

    async def _drain(self) -> None:
        with anyio.move_on_after(_DRAIN_SECONDS), suppress(ConnectionFailed):
            async for _ in self._response.chunks:
                continue

    def _empty(self) -> ProtocolError | EmptyStream:
        if self._whole.strip():
            return self._no_stream("a body without one event")
        return EmptyStream(f"{self._url} answered 200 with an empty body")

    def _no_stream(self, what: str) -> ProtocolError:
        kind = self._response.headers.get("content-type", "none")
        excerpt = " ".join(bytes(self._whole[:_EXCERPT]).decode("utf-8", "replace").split())
        return ProtocolError(
            f"{self._url} answered {self._response.status} with {what} (content-type {kind}) instead of an event "
            f"stream; check the base URL: {excerpt}",
            request_id=self.request_id,
        )


def read_retry_after(headers: Mapping[str, str]) -> float | None:
    """Read how long the provider asks to wait, in seconds; None when it does not ask, or in no number."""
    for name, scale in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            return max(float(headers[name]) / scale, 0.0)
        except (KeyError, ValueError):
            continue
    return None
