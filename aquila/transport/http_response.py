"""An answer as httpx tells it and aiohttp reads it; closing it waits for nothing."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping

import aiohttp
import httpx

from aquila.transport.failures import broken_body, connection_failures
from aquila.transport.leaving import warn_of_left


class HTTPResponse:
    """A response whose body has not been read yet."""

    __slots__ = ("_loop", "_process", "_wire", "chunks", "headers", "status")

    def __init__(self, response: httpx.Response, host: str) -> None:
        # httpx-aiohttp keeps it to itself, and only aiohttp's own response gives the body as it arrives and closes
        # without waiting.
        self._wire: aiohttp.ClientResponse = response.stream._aiohttp_response  # type: ignore[union-attr]  # noqa: SLF001
        self._loop = asyncio.get_running_loop()
        self._process = os.getpid()
        self.status: int = response.status_code
        self.headers: Mapping[str, str] = _plain(self._wire)
        _tell_of_loss(self._wire)
        encoded = response.headers.get("content-encoding", "identity") != "identity"
        self.chunks: AsyncIterator[bytes] = (
            EncodedBody(response, host) if encoded else PlainBody(self._wire, host)
        )

    async def aclose(self) -> None:
        """Free the connection: kept for the next request when the body was read to its end, else closed."""
        # It waits for nothing, so no cancel can come between.
        if not self._wire.closed:
            self._wire.close()

    def __del__(self) -> None:
        # A stream that was left without closing: its open socket would keep itself alive for ever.
        wire = self._wire
        if wire.closed or self._loop.is_closed() or self._process != os.getpid():
            return
        self._loop.call_soon_threadsafe(wire.close)
        warn_of_left(self)


def _tell_of_loss(wire: aiohttp.ClientResponse) -> None:
    """Let the reader of a body hear that its connection is gone.

    When the framing of a body breaks in a read of its own, aiohttp closes the connection and tells everybody but the
    body, whose reader would wait for ever.
    """
    protocol = wire.connection.protocol if wire.connection is not None else None
    closed = protocol.closed if protocol is not None else None
    if closed is None:
        return
    content = wire.content

    def tell(lost: asyncio.Future[None]) -> None:
        error = None if lost.cancelled() else lost.exception()
        # A body that came to its end has been told so before.
        if not content.is_eof() and content.exception() is None:
            content.set_exception(aiohttp.ClientPayloadError(f"the connection was lost: {error}"))

    closed.add_done_callback(tell)


def _plain(wire: aiohttp.ClientResponse) -> dict[str, str]:
    # A plain dict: every look-up in httpx's headers compares with all of them.
    headers: dict[str, str] = {}
    for name, value in wire.headers.items():
        key = name.lower()
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    return headers


class PlainBody:
    """The body's bytes as they arrive, with the library's errors turned into ours."""

    __slots__ = ("_content", "_host")

    def __init__(self, wire: aiohttp.ClientResponse, host: str) -> None:
        self._host = host
        self._content = wire.content

    def __aiter__(self) -> PlainBody:
        return self

    async def __anext__(self) -> bytes:
        try:
            data = await self._content.readany()
        except connection_failures() as error:
            failure = broken_body(error, self._host, "identity")
            raise failure from error
        if not data:
            raise StopAsyncIteration
        return data


class EncodedBody:
    """The body of a server that compresses although it was asked not to."""

    __slots__ = ("_encoding", "_host", "_source")

    def __init__(self, response: httpx.Response, host: str) -> None:
        self._host = host
        self._encoding = response.headers["content-encoding"]
        self._source = response.aiter_bytes()

    def __aiter__(self) -> EncodedBody:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._source)
        except connection_failures() as error:
            failure = broken_body(error, self._host, self._encoding)
            raise failure from error
