"""Requests through an HTTP client that the user brings: httpx's or httpx2's, told apart by nothing.

The client keeps its headers, its authentication, its proxies and its pool; only its time-outs are replaced, because
they count every socket read and would cut a stream whose model thinks.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol

import anyio

from aquila.errors import ConfigError
from aquila.transport.base import Request
from aquila.transport.failures import broken_body, connection_failures
from aquila.transport.leaving import warn_of_left
from aquila.transport.unbroken import cancelled_once, unbroken

#: Seconds that closing one response may take.
_CLOSE_SECONDS = 1.0


class HTTPClient(Protocol):
    """What is used of an `httpx.AsyncClient` or an `httpx2.AsyncClient`."""

    @property
    def is_closed(self) -> bool:
        """True once it has been closed."""

    @property
    def headers(self) -> Any:
        """The headers it puts into every request."""

    @property
    def base_url(self) -> Any:
        """The address that relative URLs belong to; empty for none."""

    def build_request(
        self, method: str, url: str, *, content: bytes, headers: Mapping[str, str], timeout: Any
    ) -> Any:
        """Prepare a request, with what the client adds to each."""

    async def send(self, request: Any, *, stream: bool) -> Any:
        """Send it and return at the response's headers."""


async def send_through(client: HTTPClient, request: Request, headers: Mapping[str, str]) -> BroughtResponse:
    """Send a request through a client.

    Raises:
        ConfigError: The client is closed.
        Exception: Whatever the client's library raises.
    """
    if client.is_closed:
        raise ConfigError("the client given to OpenAITransport is closed; close it after its last call")
    limit = request.connect_timeout
    message = client.build_request(
        request.method,
        request.url,
        content=request.body,
        headers=headers,
        # Connect, read, write, and the wait for a connection of the pool.
        timeout=(limit, None, None, limit),
    )
    return BroughtResponse(await cancelled_once(client.send(message, stream=True), _close))


class BroughtResponse:
    """A response of the user's client whose body has not been read yet."""

    __slots__ = ("_loop", "_process", "_response", "chunks", "headers", "status")

    def __init__(self, response: Any) -> None:
        self._response = response
        self._loop = asyncio.get_running_loop()
        self._process = os.getpid()
        self.status: int = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self.chunks: AsyncIterator[bytes] = _Body(response)

    async def aclose(self) -> None:
        """Free the connection, also when the caller is cancelled meanwhile, once or twice."""
        if not self._response.is_closed:
            await unbroken(_close(self._response))

    def __del__(self) -> None:
        # A stream that was left without closing would hold its place in the pool for ever.
        response = self._response
        if response.is_closed or self._loop.is_closed() or self._process != os.getpid():
            return
        self._loop.call_soon_threadsafe(_CLOSING.start, response)
        warn_of_left(self)


class _Body:
    """The body's bytes, with the library's errors turned into ours."""

    __slots__ = ("_fragile", "_response", "_source")

    def __init__(self, response: Any) -> None:
        encoded = response.headers.get("content-encoding", "identity") != "identity"
        # A hook of the client's, or a transport without a wire, has read the body already.
        decoded = encoded or response.is_stream_consumed
        self._response = response
        self._source = response.aiter_bytes() if decoded else response.aiter_raw()
        # Only httpx2 reads on safely when it is cancelled twice; guarding each read costs a tenth of it.
        self._fragile = type(response).__module__.partition(".")[0] == "httpx"

    def __aiter__(self) -> _Body:
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await (cancelled_once(self._read()) if self._fragile else self._read())
        except connection_failures() as error:
            encoding = self._response.headers.get("content-encoding", "identity")
            failure = broken_body(error, self._response.url.host, encoding)
            raise failure from error
        if chunk is None:
            raise StopAsyncIteration
        return chunk

    async def _read(self) -> bytes | None:
        chunk: bytes | None = await anext(self._source, None)
        return chunk


class _Closing:
    """Closes responses that nobody holds any more; knows those under way, so that none is forgotten half-way."""

    def __init__(self) -> None:
        self._running: set[asyncio.Future[None]] = set()

    def start(self, response: Any) -> None:
        """Begin to close a response, inside its event loop."""
        task = asyncio.ensure_future(_close(response))
        self._running.add(task)
        task.add_done_callback(self._running.discard)


_CLOSING = _Closing()


async def _close(response: Any) -> None:
    with anyio.move_on_after(_CLOSE_SECONDS):
        try:
            await response.aclose()
        except connection_failures():
            # The connection broke while it was being closed, which is what closing wants.
            return
