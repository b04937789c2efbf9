"""One event loop's connections to all servers: httpx transports over aiohttp, and which proxy leads to which host."""

from __future__ import annotations

import base64
import os
import ssl
from collections.abc import AsyncGenerator
from functools import lru_cache
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx
import httpx_aiohttp
from yarl import URL

from aquila.errors import ConfigError
from aquila.transport.address import is_loopback
from aquila.transport.base import Request
from aquila.transport.pieces import PIECE_BYTES, Pieces


class Pool:
    """Sends requests over kept connections; proxies come from the environment as it is when the pool is made.

    Made inside the event loop it serves.
    """

    def __init__(self) -> None:
        #: Ends with the event loop; its owner keeps it here.
        self.lifetime: AsyncGenerator[None] | None = None
        #: The process whose sockets these are.
        self.process = os.getpid()
        self._proxies = getproxies()
        #: By whether TLS is spoken, and by proxy.
        self._transports: dict[tuple[bool, URL | None], httpx_aiohttp.AiohttpTransport] = {}

    async def send(self, request: Request, url: URL, headers: dict[str, str]) -> httpx.Response:
        """Send a request and give the answer as soon as its headers are there.

        Raises:
            ConfigError: The environment names a proxy or certificates that cannot be used.
            httpx.HTTPError: No connection, or it broke.
            OSError: The same.
        """
        # A compressed stream may arrive in one lump at its end.
        headers.setdefault("accept-encoding", "identity")
        proxy = self._proxy_for(url)
        if proxy is not None and url.scheme == "http":
            # A plain request reaches the proxy itself, on kept connections as well.
            headers |= _login(proxy)
        # aiohttp counts name resolution, TCP and TLS as the wait for a connection of its pool.
        limits = {"connect": request.connect_timeout, "pool": request.connect_timeout}
        content: bytes | Pieces = request.body
        if len(request.body) > PIECE_BYTES:
            content = Pieces(request.body)
            # Old gateways take no body without a length.
            headers["content-length"] = str(len(request.body))
        message = httpx.Request(
            request.method,
            _url(request.url),
            headers=headers,
            content=content,
            extensions={"timeout": limits},
        )
        # An httpx client around the transport would add redirects, cookies and authentication, none of which is wanted
        # here, and cost as much again as the request.
        return await self._transport(url, proxy).handle_async_request(message)

    async def aclose(self) -> None:
        """Close every connection, and forget the loop."""
        await self.close_connections()
        if self.lifetime is not None:
            await self.lifetime.aclose()

    async def close_connections(self) -> None:
        """Close every connection."""
        for transport in self._transports.values():
            await transport.aclose()
        self._transports.clear()

    def _transport(self, url: URL, proxy: URL | None) -> httpx_aiohttp.AiohttpTransport:
        # A TLS context takes longer to make than a request to a model on this machine.
        secure = "https" in {url.scheme, proxy.scheme if proxy is not None else None}
        transport = self._transports.get((secure, proxy))
        if transport is None:
            context = tls_context() if secure else None
            transport = self._transports[secure, proxy] = httpx_aiohttp.AiohttpTransport(
                verify=context or False,
                proxy=_tunnel(proxy, context),
                client=lambda: _session(context),
            )
        return transport

    def _proxy_for(self, url: URL) -> URL | None:
        proxy = self._proxies.get(url.scheme) or self._proxies.get("all")
        host = url.host or ""
        # A model on this machine is never behind a proxy, whatever the environment says.
        if not proxy or is_loopback(host) or proxy_bypass(host):
            return None
        if not proxy.startswith(("http://", "https://")):
            raise ConfigError(
                f"the environment names a {proxy.partition(':')[0]} proxy, and only HTTP proxies can be used; "
                f"set NO_PROXY={host} or unset it"
            )
        return URL(proxy)


@lru_cache(maxsize=256)
def _url(address: str) -> httpx.URL:
    # Parsing costs more than all else of a request, and most go to one of few addresses.
    return httpx.URL(address)


@lru_cache(maxsize=1)
def tls_context() -> ssl.SSLContext:
    """Make the process's one TLS context; it honours `SSL_CERT_FILE` and `SSL_CERT_DIR`.

    Raises:
        ConfigError: What one of them names cannot be read.
    """
    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    try:
        return httpx.create_ssl_context()
    except OSError as error:
        raise ConfigError(
            f"SSL_CERT_FILE={file or ''} SSL_CERT_DIR={folder or ''} cannot be read ({error.strerror}); "
            "name a file of certificates, or unset it"
        ) from error


def _tunnel(proxy: URL | None, context: ssl.SSLContext | None) -> httpx.Proxy | None:
    if proxy is None:
        return None
    return httpx.Proxy(str(proxy.with_user(None)), headers=_login(proxy), ssl_context=context)


def _login(proxy: URL) -> dict[str, str]:
    if proxy.user is None:
        return {}
    login = f"{proxy.user}:{proxy.password or ''}".encode()
    return {"proxy-authorization": f"Basic {base64.b64encode(login).decode()}"}


def _session(context: ssl.SSLContext | None) -> aiohttp.ClientSession:
    # Streams stay open for minutes, so the number of connections is the caller's to bound, not the pool's. aiohttp's
    # own reading of the environment stays off: it would put logins from ~/.netrc beside the API key.
    connector = aiohttp.TCPConnector(limit=0, ssl=context or True)
    return aiohttp.ClientSession(connector=connector, trust_env=False, cookie_jar=aiohttp.DummyCookieJar())
