"""The seam every provider and every recorder stands at: one request in, raw bytes out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

#: The model's name that stands for the model on this machine.
LOCAL_MODEL = "local"
#: Its stable address, which LocalTransport replaces by the server's present one; cassettes keep this one.
LOCAL_BASE_URL = "http://aquila.local/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request, complete: nothing below this seam adds to its meaning."""

    method: str
    #: The whole URL. Requests for the local model use the stable `LOCAL_BASE_URL`.
    url: str
    #: Lower-case names. Not part of the representation: they hold the key.
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = b""
    #: The model the request asks for, where it asks for one; routing and pacing look at it.
    model: str | None = None
    #: Seconds until a connection must stand; None waits for ever.
    connect_timeout: float | None = 10.0


class TransportResponse(Protocol):
    """An HTTP response whose body arrives while it is read.

    Iterating `chunks` gives the body as it comes from the source, decoded from any content encoding, and ends where the
    source ends. `aclose` frees the connection on every path and may be called twice.
    """

    @property
    def status(self) -> int:
        """The HTTP status."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Lower-case names."""

    @property
    def chunks(self) -> AsyncIterator[bytes]:
        """The body. Raises ConnectionFailed when the connection breaks."""

    async def aclose(self) -> None:
        """Free the connection."""


class Transport(Protocol):
    """Sends a request and returns as soon as the response's headers are there.

    It may also have `async def sleep(seconds)`, which replaces the sleep between two requests: a replay without waiting
    does not wait there either.
    """

    async def send(self, request: Request) -> TransportResponse:
        """Send one request.

        Raises:
            ConnectionFailed: No connection could be made, or it broke.
            ConnectTimeout: It took longer than `request.connect_timeout`.
        """

    async def aclose(self) -> None:
        """Free what the transport holds. It may be used again afterwards."""
