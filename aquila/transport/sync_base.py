"""The seam of `aquila.transport.base` for callers that block."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from aquila.transport.base import Request


class SyncResponse(Protocol):
    """An HTTP response whose body arrives while it is read. `close` frees it and may be called twice."""

    @property
    def status(self) -> int:
        """The HTTP status."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Lower-case names."""

    @property
    def chunks(self) -> Iterator[bytes]:
        """The body, decoded. Raises ConnectionFailed when the connection breaks."""

    def close(self) -> None:
        """Free the connection."""


class SyncTransport(Protocol):
    """Sends a request and returns as soon as the response's headers are there."""

    def send_sync(self, request: Request) -> SyncResponse:
        """Send one request.

        Raises:
            ConnectionFailed: No connection could be made, or it broke.
            TimeoutExceeded: It took too long.
        """
