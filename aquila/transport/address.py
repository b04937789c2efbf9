"""Addresses: reading a URL, telling this machine from others, and keeping a key to its host."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

from yarl import URL

from aquila.errors import ConfigError


@lru_cache(maxsize=256)
def read_address(address: str) -> URL:
    """Read the URL of a request or a server.

    Raises:
        ConfigError: It is none that a request can go to.
    """
    shown = "the address" if "@" in address else repr(address)
    try:
        url = URL(address)
        usable = url.scheme in {"http", "https"} and url.host and url.port
    except ValueError:
        raise ConfigError(f"base_url: {shown} is no URL; look at its host and port") from None
    if not usable:
        raise ConfigError(f"base_url: {shown} must begin with http:// or https:// and name a host")
    if url.user is not None or url.password is not None:
        raise ConfigError(
            "base_url must not hold a user name or a password (it is not shown here); use api_key="
        )
    return url


@lru_cache(maxsize=256)
def is_loopback(host: str) -> bool:
    """Say whether a host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def is_below(url: URL, base: URL) -> bool:
    """Say whether a URL belongs to a server's base URL; what stands behind a `?` does not matter."""
    folder = base.raw_path.rstrip("/") + "/"
    return url.origin() == base.origin() and (url.raw_path + "/").startswith(folder)
