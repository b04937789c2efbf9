"""What HTTP libraries raise, in our words, whichever library it was: aiohttp, httpx, httpx2, or what is below them.

Classes are looked up among the modules that are loaded, when something was raised: a library that nobody has imported
has raised nothing, and none is imported for its classes.
"""

from __future__ import annotations

import os
import ssl
import sys

from aquila.errors import AquilaError, ConnectionFailed, ConnectTimeout, ProtocolError

_HTTPX = ("httpx", "httpx2")
_HTTPCORE = ("httpcore", "httpcore2")


def connection_failures() -> tuple[type[BaseException], ...]:
    """Give every class that stands for trouble with a connection; for use in an `except` clause."""
    return (
        # Time-outs, TLS and everything the system says of a socket are among these.
        OSError,
        *_classes(("aiohttp",), "ClientError"),
        *_classes(_HTTPX, "HTTPError", "StreamError"),
        *_classes(
            _HTTPCORE,
            "TimeoutException",
            "NetworkError",
            "ProtocolError",
            "ProxyError",
            "UnsupportedProtocol",
        ),
        # They leak through httpx2 where TLS breaks.
        *_classes(("anyio",), "EndOfStream", "BrokenResourceError", "ClosedResourceError"),
    )


def no_connection(error: BaseException, where: str, limit: float | None) -> AquilaError:
    """Say that a request got no answer.

    Args:
        error: What the library raised.
        where: The server's host and port.
        limit: Seconds a connection was given; None for no limit.
    """
    if _is_connect_timeout(error):
        within = f" within {limit:g} s" if limit else "; the system gave up"
        return ConnectTimeout(f"no connection to {where}{within}{_pool_hint(error)}", seconds=limit or 0.0)
    if isinstance(_chain(error)[-1], (*_classes(("aiohttp.http_exceptions",), "HttpProcessingError"),)):
        return ConnectionFailed(
            f"{where} answered with what is no HTTP: {_reason(error)}; check the base URL"
        )
    return ConnectionFailed(
        f"cannot reach {where}: {_reason(error)}; check the base URL and that the server runs"
    )


def broken_body(error: BaseException, host: str, encoding: str) -> AquilaError:
    """Say that the body of an answer broke off, or is not encoded as it says.

    Args:
        error: What the library raised.
        host: The server.
        encoding: The answer's content encoding.
    """
    decoding = (
        *_classes(_HTTPX, "DecodingError"),
        *_classes(("aiohttp.http_exceptions",), "ContentEncodingError"),
    )
    if any(isinstance(cause, decoding) for cause in _chain(error)):
        return ProtocolError(f"the answer is not the {encoding} it says it is: {_reason(error)}")
    return ConnectionFailed(f"the connection to {host} broke while the answer was coming: {_reason(error)}")


def _classes(modules: tuple[str, ...], *names: str) -> list[type[BaseException]]:
    loaded = [sys.modules[name] for name in modules if name in sys.modules]
    found = [getattr(module, name, None) for module in loaded for name in names]
    return [item for item in found if isinstance(item, type)]


def _chain(error: BaseException) -> list[BaseException]:
    chain = [error]
    while isinstance(below := _below(chain[-1]), Exception) and below not in chain:
        chain.append(below)
    return chain


def _below(error: BaseException) -> object:
    if isinstance(error, BaseExceptionGroup):
        # Several addresses were tried; the first one's failure speaks for all.
        return error.exceptions[0]
    # httpcore drops the cause and keeps it as the argument. The context is no help: it may be the caller's own.
    return error.__cause__ or next(iter(error.args), None)


def _is_connect_timeout(error: BaseException) -> bool:
    chain = _chain(error)
    if any(isinstance(cause, TimeoutError) for cause in chain):
        return True
    # httpx over aiohttp calls every lost connection a time-out; what aiohttp itself raised tells them apart.
    if any(isinstance(cause, (*_classes(("aiohttp",), "ClientError"),)) for cause in chain):
        return False
    return isinstance(error, (*_classes(_HTTPX + _HTTPCORE, "ConnectTimeout", "PoolTimeout"),))


def _pool_hint(error: BaseException) -> str:
    full = isinstance(error, (*_classes(_HTTPX, "PoolTimeout"),))
    return ": all connections of the client are in use; raise max_connections in its limits" if full else ""


def _reason(error: BaseException) -> str:
    root = _chain(error)[-1]
    inner = getattr(root, "os_error", root)
    if isinstance(inner, ssl.SSLCertVerificationError):
        return (
            f"TLS failed (the certificate is not trusted: {inner.verify_message}); "
            "for an authority of your own set SSL_CERT_FILE"
        )
    if isinstance(inner, ssl.SSLError):
        return f"TLS failed ({inner.reason or inner}); is it http:// instead of https://?"
    number = getattr(inner, "errno", None)
    # Positive numbers are the system's own, which has a word for each; the others belong to the resolver.
    text = os.strerror(number) if number and number > 0 else getattr(inner, "strerror", None)
    # aiohttp's own words of bad HTTP run over several lines.
    said = text or getattr(inner, "message", None) or str(inner) or str(error) or type(inner).__name__
    return " ".join(str(said).split())
