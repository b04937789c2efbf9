"""`OpenAITransport`: real HTTP, httpx over aiohttp.

httpx is the interface; aiohttp below it costs a half to a third of httpcore's CPU for each chunk and does not slow
down with the number of open streams. One httpx client serves one event loop and is closed with it; one TLS context
serves the process.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import warnings
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from weakref import WeakKeyDictionary

import aiohttp
import anyio
import httpx

from aquila.errors import AquilaError, ConfigError, ConnectionFailed, ConnectTimeout, ProtocolError
from aquila.transport.base import Request
from aquila.transport.pool import Pool, is_loopback

_FAILURES = (httpx.HTTPError, httpx.StreamError, aiohttp.ClientError, OSError, anyio.EndOfStream)


class OpenAITransport:
    """Sends requests to any OpenAI-compatible server over HTTP/1.1.

    Safe to keep for a whole process: each event loop gets its own connections, closed when the loop ends or by
    `aclose`. Proxies and trust store come from the environment (`HTTP_PROXY`, `NO_PROXY`, `SSL_CERT_FILE`); addresses
    on this machine bypass proxies.
    """

    def __init__(self) -> None:
        self._pools: WeakKeyDictionary[asyncio.AbstractEventLoop, Pool] = WeakKeyDictionary()

    async def send(self, request: Request) -> HTTPResponse:
        """Send one request and return when the response's headers are there.

        Raises:
            ConfigError: The URL or a header cannot be used, or a key is needed and missing.
            ConnectionFailed: No connection could be made, or it broke.
            ConnectTimeout: It took longer than `request.connect_timeout`.
        """
        url = _parse_url(request.url)
        if not is_loopback(url.host) and not {"authorization", "api-key"} & set(request.headers):
            raise ConfigError(
                f"no API key for {url.host}: set OPENAI_API_KEY, pass api_key=, or use model='local', which needs none"
            )
        http = (await self._pool()).client(url)
        message = http.build_request(
            request.method,
            url,
            headers=dict(request.headers),
            content=request.body,
            # aiohttp counts name resolution, TCP and TLS as the wait for a connection of its pool.
            timeout=httpx.Timeout(None, connect=request.connect_timeout, pool=request.connect_timeout),
        )
        try:
            return HTTPResponse(await http.send(message, stream=True))
        except _FAILURES as error:
            failure = _connection_error(error, url, request.connect_timeout)
            raise failure from error

    async def aclose(self) -> None:
        """Close this event loop's connections. The transport may be used again."""
        pool = self._pools.pop(asyncio.get_running_loop(), None)
        if pool is not None:
            await pool.aclose()

    async def _pool(self) -> Pool:
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop)
        if pool is None:
            pool = self._pools[loop] = Pool()
            pool.lifetime = self._close_with_loop(loop)
            await anext(pool.lifetime)
        return pool

    async def _close_with_loop(self, loop: asyncio.AbstractEventLoop) -> AsyncGenerator[None]:
        # An event loop closes the async generators it still knows when it ends: the one hook for closing sockets
        # that asyncio.run offers.
        try:
            yield
        finally:
            pool = self._pools.pop(loop, None)
            if pool is not None:
                await pool.close_clients()


class HTTPResponse:
    """A response whose body has not been read yet."""

    __slots__ = ("_loop", "_response", "chunks", "headers", "status")

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self._loop = asyncio.get_running_loop()
        self.status: int = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self.chunks: AsyncIterator[bytes] = _Body(response)

    async def aclose(self) -> None:
        """Free the connection: kept for the next request when the body was read to its end, else closed."""
        try:
            await self._response.aclose()
        except _FAILURES:
            # The connection broke while it was being closed, which is what closing wants.
            return

    def __del__(self) -> None:
        # A stream that was left without closing: its open socket would keep itself alive for ever.
        wire = self._response.extensions.get("wire")
        if wire is None or wire.closed or self._loop.is_closed():
            return
        self._loop.call_soon_threadsafe(wire.close)
        if not self._response.is_closed:
            warnings.warn(
                "a stream was left before its end without being closed; use `async with aquila.stream(...)`",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )


class _Body:
    """The body's bytes, with the library's errors turned into ours."""

    __slots__ = ("_response", "_source")

    def __init__(self, response: httpx.Response) -> None:
        encoded = response.headers.get("content-encoding", "identity") != "identity"
        self._response = response
        self._source = response.aiter_bytes() if encoded else response.aiter_raw()

    def __aiter__(self) -> _Body:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._source)
        except httpx.DecodingError as error:
            encoding = self._response.headers.get("content-encoding")
            raise ProtocolError(
                f"the answer is not the {encoding} it says it is: {_reason(error)}"
            ) from error
        except _FAILURES as error:
            raise ConnectionFailed(
                f"the connection to {self._response.url.host} broke while the answer was coming: {_reason(error)}"
            ) from error


def _parse_url(address: str) -> httpx.URL:
    try:
        url = httpx.URL(address)
    except httpx.InvalidURL as error:
        raise ConfigError(f"base_url: {address!r} is no URL ({error})") from None
    if url.scheme not in {"http", "https"} or not url.host:
        raise ConfigError(f"base_url: {address!r} must begin with http:// or https:// and name a host")
    return url


def _connection_error(error: Exception, url: httpx.URL, limit: float | None) -> AquilaError:
    # httpx-aiohttp calls every lost connection a time-out; what aiohttp itself raised tells them apart.
    cause = error.__cause__ or error
    where = f"{url.host}:{url.port or (443 if url.scheme == 'https' else 80)}"
    if isinstance(cause, TimeoutError | httpx.ConnectTimeout):
        return ConnectTimeout(f"no connection to {where} within {limit:g} s", seconds=limit or 0.0)
    return ConnectionFailed(
        f"cannot reach {where}: {_reason(cause)}; check the base URL and that the server runs"
    )


def _reason(error: BaseException) -> str:
    inner = getattr(error, "os_error", error)
    if isinstance(inner, ssl.SSLError):
        return f"TLS failed ({inner.reason or inner}); is it http:// instead of https://?"
    number = getattr(inner, "errno", None)
    # Positive numbers are the system's own, which has a word for each; the others belong to the resolver.
    text = os.strerror(number) if number and number > 0 else getattr(inner, "strerror", None)
    return text or str(inner) or type(error).__name__
