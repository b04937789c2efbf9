"""Requests of httpx and httpx2, and the library each belongs to.

Neither is imported here: who sends a request of a library's has imported it.
"""

from __future__ import annotations

import sys
from typing import Any

from aquila.errors import ConfigError
from aquila.transport.base import Request

#: They describe the connection and the framing of one sending, not the request.
_FRAMING = frozenset({"accept-encoding", "connection", "content-length", "host", "transfer-encoding"})


def library_of(request: Any) -> Any:
    """Give the module of the library that a request belongs to: httpx, httpx2, or one made after them.

    Raises:
        ConfigError: It belongs to no such library.
    """
    library = find_library(type(request))
    if library is None:
        raise ConfigError(
            f"{type(request).__name__} is no request of httpx or httpx2; use the transport in a client of theirs"
        )
    return library


def find_library(cls: type) -> Any | None:
    """Give the library that a class, or one it derives from, belongs to; None for none."""
    for ancestor in cls.__mro__:
        module = sys.modules.get(ancestor.__module__.partition(".")[0])
        if hasattr(module, "AsyncByteStream") and hasattr(module, "SyncByteStream"):
            return module
    return None


async def read_request(request: Any) -> Request:
    """Read the body of an asynchronous client's request, which can be sent afterwards all the same."""
    return _complete(request, await request.aread())


def read_request_sync(request: Any) -> Request:
    """Read the body of a blocking client's request, which can be sent afterwards all the same."""
    return _complete(request, request.read())


def time_limit(request: Any, name: str) -> float | None:
    """Give a time-out of a request: `connect`, `read`, `write` or `pool`; None for none."""
    limit = (request.extensions.get("timeout") or {}).get(name)
    return None if limit is None else float(limit)


def _complete(request: Any, body: bytes) -> Request:
    return Request(
        method=request.method,
        url=str(request.url),
        headers={name: value for name, value in request.headers.items() if name not in _FRAMING},
        body=body,
        connect_timeout=time_limit(request, "connect"),
    )
