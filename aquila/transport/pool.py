"""One event loop's HTTP connections: httpx clients over aiohttp, one for each proxy in use."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import AsyncGenerator
from functools import lru_cache
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx
import httpx_aiohttp

from aquila.errors import ConfigError


class Pool:
    """Gives the httpx client for a URL; proxies come from the environment as it is when the pool is made."""

    def __init__(self) -> None:
        #: Ends with the event loop; its owner keeps it here.
        self.lifetime: AsyncGenerator[None] | None = None
        self._proxies = getproxies()
        self._clients: dict[str | None, httpx.AsyncClient] = {}

    def client(self, url: httpx.URL) -> httpx.AsyncClient:
        """Give the client whose connections serve this URL.

        Raises:
            ConfigError: The environment names a proxy that cannot be used.
        """
        proxy = self._proxy_for(url)
        client = self._clients.get(proxy)
        if client is None:
            transport = WireTransport(
                verify=tls_context(),
                proxy=httpx.Proxy(proxy) if proxy else None,
                client=_session,
            )
            client = self._clients[proxy] = httpx.AsyncClient(transport=transport, trust_env=False)
        return client

    async def aclose(self) -> None:
        """Close every connection, and forget the loop."""
        await self.close_clients()
        if self.lifetime is not None:
            await self.lifetime.aclose()

    async def close_clients(self) -> None:
        """Close every connection."""
        for client in self._clients.values():
            await client.aclose()
        self._clients.clear()

    def _proxy_for(self, url: httpx.URL) -> str | None:
        proxy = self._proxies.get(url.scheme) or self._proxies.get("all")
        # A model on this machine is never behind a proxy, whatever the environment says.
        if not proxy or is_loopback(url.host) or proxy_bypass(url.host):
            return None
        if not proxy.startswith(("http://", "https://")):
            raise ConfigError(
                f"the environment names a {proxy.partition(':')[0]} proxy, and only HTTP proxies can be used; "
                f"set NO_PROXY={url.host} or unset it"
            )
        return proxy


class WireTransport(httpx_aiohttp.AiohttpTransport):
    """httpx-aiohttp's transport, which also hands out aiohttp's own response: only that one closes without waiting."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; `extensions["wire"]` of the response is aiohttp's."""
        response = await super().handle_async_request(request)
        response.extensions["wire"] = getattr(response.stream, "_aiohttp_response", None)
        return response


def is_loopback(host: str) -> bool:
    """Say whether a host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


@lru_cache(maxsize=1)
def tls_context() -> ssl.SSLContext:
    """Make the process's one TLS context; it honours `SSL_CERT_FILE`."""
    return httpx.create_ssl_context()


def _session() -> aiohttp.ClientSession:
    # Streams stay open for minutes, so the number of connections is the caller's to bound, not the pool's. aiohttp's
    # own reading of the environment stays off: it would put logins from ~/.netrc beside the API key.
    connector = aiohttp.TCPConnector(ssl=tls_context(), limit=0)
    return aiohttp.ClientSession(connector=connector, trust_env=False, cookie_jar=aiohttp.DummyCookieJar())
