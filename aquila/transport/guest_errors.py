"""Errors on their way between our seam and httpx or httpx2, so that a client's own retries see what they know.

The library's name of an error leads our message (`ReadError: the connection broke ...`). A recording keeps the message,
so a replay raises the same class again.
"""

from __future__ import annotations

from typing import Any

from aquila.errors import (
    AquilaError,
    ConnectionFailed,
    ConnectTimeout,
    ProtocolError,
    SilenceTimeout,
    TimeoutExceeded,
)
from aquila.transport.failures import broken_body, connection_failures, no_connection
from aquila.transport.guest_request import time_limit

#: Those of our errors that a library has a word for. What is wrong with a cassette or a setting passes as it is.
NETWORK_ERRORS = (ConnectionFailed, TimeoutExceeded, ProtocolError)


def to_theirs(error: AquilaError, library: Any, request: Any, *, answered: bool) -> BaseException:
    """Give the library's error for one of ours: the very one that ours was made of, else a new one.

    Args:
        error: One of `NETWORK_ERRORS`.
        library: The library's module.
        request: The library's request.
        answered: Whether the head of the answer had come.
    """
    cause = error.__cause__
    if isinstance(cause, connection_failures()):
        return cause
    name, _, rest = str(error).partition(": ")
    if not _is_network_error(name, library):
        name, rest = _kind(error, answered=answered), str(error)
    failure: BaseException = getattr(library, name)(rest, request=request)
    failure.__cause__ = error
    return failure


def to_ours(error: BaseException, library: Any, request: Any, *, encoding: str | None = None) -> AquilaError:
    """Give our error for one of the library's.

    Args:
        error: One of `connection_failures()`.
        library: The library's module.
        request: The library's request.
        encoding: The content encoding of the answer; None if its head had not come.
    """
    where = request.url.netloc.decode("ascii", "replace").rpartition("@")[2]
    failure: AquilaError
    if isinstance(error, (library.ReadTimeout, library.WriteTimeout)):
        limit = time_limit(request, "read" if isinstance(error, library.ReadTimeout) else "write")
        within = f"within {limit:g} s" if limit is not None else "in time"
        failure = SilenceTimeout(f"{where} said nothing {within}", seconds=limit or 0.0)
    elif encoding is None:
        failure = no_connection(error, where, time_limit(request, "connect"))
    else:
        failure = broken_body(error, where, encoding)
    if isinstance(error, library.RequestError):
        failure.args = (f"{type(error).__name__}: {failure}",)
    return failure


def _is_network_error(name: str, library: Any) -> bool:
    kind = getattr(library, name, None)
    return isinstance(kind, type) and issubclass(kind, library.RequestError)


def _kind(error: AquilaError, *, answered: bool) -> str:
    if isinstance(error, ConnectTimeout):
        return "ConnectTimeout"
    if isinstance(error, TimeoutExceeded):
        return "ReadTimeout"
    return "RemoteProtocolError" if answered or isinstance(error, ProtocolError) else "ConnectError"
