"""`OpenAITransport`: real HTTP, httpx over aiohttp, or over a client that the user brings.

httpx is the interface; aiohttp below it costs a fifth of httpcore's CPU for each request and each chunk, and does not
slow down with the number of open streams. One pool serves one event loop and is closed with it; one TLS context serves
the process.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from weakref import WeakKeyDictionary

from aquila.errors import ConfigError
from aquila.transport.address import is_below, is_loopback, read_address
from aquila.transport.base import Request, TransportResponse
from aquila.transport.brought import HTTPClient, send_through
from aquila.transport.failures import connection_failures, no_connection
from aquila.transport.http_response import HTTPResponse
from aquila.transport.pool import Pool

#: Headers that carry a key.
_KEY_HEADERS = frozenset({"authorization", "api-key"})
#: Pools of a process that this one was forked from: never used, and never closed either, because the sockets are shared.
_INHERITED: list[Pool] = []


class OpenAITransport:
    """Sends requests to any OpenAI-compatible server over HTTP/1.1.

    Safe to keep for a whole process: each event loop gets its own connections, closed when the loop ends or by
    `aclose`; a forked process makes its own. Proxies and trust store come from the environment (`HTTP_PROXY`,
    `NO_PROXY`, `SSL_CERT_FILE`); addresses on this machine bypass proxies.
    """

    def __init__(
        self, *, client: HTTPClient | None = None, base_url: str | None = None, api_key: str | None = None
    ) -> None:
        """Prepare; no connection is made yet.

        Args:
            client: An `httpx.AsyncClient` or `httpx2.AsyncClient` to send through, in its own event loop. It stays the
                caller's to close. Its headers, authentication, proxies and pool are used; a key among its headers wins
                over the call's. Its time-outs are not: those of the call count. None means connections of our own.
            base_url: The only server that requests may go to, for calls that name none of their own. None means the
                client's, if it has one, else any server.
            api_key: The key for that server, in place of whatever key a request brings. None leaves the request's.

        Raises:
            ConfigError: The base URL is none, or the key is nothing that a header can carry.
        """
        address = base_url or str(client.base_url if client is not None else "") or None
        #: Where requests of this transport go; None for anywhere.
        self.base_url = address.rstrip("/") if address else None
        self._base = read_address(address) if address else None
        self._client = client
        self._key_headers = _authorization(api_key)
        self._pools: WeakKeyDictionary[asyncio.AbstractEventLoop, Pool] = WeakKeyDictionary()

    async def send(self, request: Request) -> TransportResponse:
        """Send one request and return when the response's headers are there.

        Raises:
            ConfigError: The URL or a header cannot be used, a key is needed and missing, the client is closed, or the
                URL is outside the transport's base URL.
            ConnectionFailed: No connection could be made, or it broke.
            ConnectTimeout: It took longer than `request.connect_timeout`.
        """
        url = read_address(request.url)
        host = url.host or ""
        if self._base is not None and not is_below(url, self._base):
            # A query may hold a key.
            raise ConfigError(
                f"{url.with_query(None)} is outside the transport's base_url={self._base.with_query(None)}"
            )
        headers = self._headers(request)
        try:
            if self._client is not None:
                return await send_through(self._client, request, headers)
            if not is_loopback(host) and _KEY_HEADERS.isdisjoint(headers):
                raise ConfigError(
                    f"no API key for {host}: set OPENAI_API_KEY, pass api_key=, or use model='local', which needs none"
                )
            pool = await self._pool()
            return HTTPResponse(await pool.send(request, url, headers), host)
        except connection_failures() as error:
            failure = no_connection(error, f"{host}:{url.port}", request.connect_timeout)
            raise failure from error

    async def aclose(self) -> None:
        """Close this event loop's connections; a client that was given stays open. The transport may be used again."""
        pool = self._pools.pop(asyncio.get_running_loop(), None)
        if pool is not None and pool.process == os.getpid():
            await pool.aclose()

    def _headers(self, request: Request) -> dict[str, str]:
        headers = dict(request.headers)
        for name, value in headers.items():
            # Libraries quote what they refuse, and it may be a key.
            if not (name + value).isascii() or not (name + value).isprintable():
                raise ConfigError(f"the header {name!r} holds characters that no header can carry")
        client = self._client
        if self._key_headers or (client is not None and any(name in client.headers for name in _KEY_HEADERS)):
            for name in _KEY_HEADERS:
                headers.pop(name, None)
        return headers | self._key_headers

    async def _pool(self) -> Pool:
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop)
        if pool is not None and pool.process != os.getpid():
            _INHERITED.append(pool)
            pool = None
        if pool is None:
            pool = self._pools[loop] = Pool()
            pool.lifetime = self._close_with_loop(loop, pool)
            await anext(pool.lifetime)
        return pool

    async def _close_with_loop(self, loop: asyncio.AbstractEventLoop, pool: Pool) -> AsyncGenerator[None]:
        # An event loop closes the async generators it still knows when it ends: the one hook for closing sockets
        # that asyncio.run offers.
        try:
            yield
        finally:
            if pool.process == os.getpid():
                if self._pools.get(loop) is pool:
                    del self._pools[loop]
                await pool.close_connections()


def _authorization(api_key: str | None) -> dict[str, str]:
    if not api_key:
        return {}
    if not api_key.isascii() or not api_key.isprintable() or " " in api_key:
        raise ConfigError("the API key holds blanks or characters that no header can carry; copy it again")
    return {"authorization": f"Bearer {api_key}"}
