"""Our seam in the place of an HTTP library's transport, so that other people's clients can stand on it.

`httpx.Client(transport=...)`, `httpx2.AsyncClient(transport=...)` and the SDKs that take such a client use it as they
use their own. Our errors reach them as the library's, so that their retries and `except` clauses work.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from aquila.transport.base import Request, TransportResponse
from aquila.transport.guest_errors import NETWORK_ERRORS, to_theirs
from aquila.transport.guest_request import library_of, read_request, read_request_sync
from aquila.transport.guest_response import async_response, sync_response
from aquila.transport.sync_base import SyncResponse

if TYPE_CHECKING:
    from typing import Self

    from httpx import AsyncBaseTransport, BaseTransport
    from httpx2 import AsyncBaseTransport as AsyncBaseTransport2
    from httpx2 import BaseTransport as BaseTransport2

    class _Bases(AsyncBaseTransport, BaseTransport, AsyncBaseTransport2, BaseTransport2):
        """What a type checker takes a guest for; the libraries themselves look at its methods only."""

        async def __aenter__(self) -> Self: ...
        async def __aexit__(self, *error: object) -> None: ...
        def __enter__(self) -> Self: ...
        def __exit__(self, *error: object) -> None: ...
        async def handle_async_request(self, request: Any) -> Any: ...
        def handle_request(self, request: Any) -> Any: ...
        async def aclose(self) -> None: ...
        def close(self) -> None: ...
else:
    _Bases = object


class SendsBothWays(Protocol):
    """What a guest does the sending with."""

    async def send(self, request: Request) -> TransportResponse:
        """Send one request; raises our errors."""

    def send_sync(self, request: Request) -> SyncResponse:
        """Send one request and block; raises our errors."""


class Guest(_Bases):
    """Whatever of `handle_async_request` and `handle_request` is called, `aclose` or `close` ends it."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    async def aclose(self) -> None:
        """Free what asynchronous requests hold: nothing."""

    def close(self) -> None:
        """Free what blocking requests hold: nothing."""


class GuestTransport(Guest):
    """Makes a class with `send` and `send_sync` a transport of httpx and httpx2 too."""

    async def handle_async_request(self: SendsBothWays, request: Any) -> Any:
        """Answer a request of an `AsyncClient`.

        Args:
            request: The library's request.

        Raises:
            BaseException: The library's own error for one of the network, such as `httpx.ReadTimeout`.
            AquilaError: What has nothing to do with the network, as it is.
        """
        library = library_of(request)
        try:
            return async_response(library, request, await self.send(await read_request(request)))
        except NETWORK_ERRORS as error:
            failure = to_theirs(error, library, request, answered=False)
        raise failure

    def handle_request(self: SendsBothWays, request: Any) -> Any:
        """Answer a request of a `Client`.

        Args:
            request: The library's request.

        Raises:
            BaseException: The library's own error for one of the network, such as `httpx.ReadTimeout`.
            AquilaError: What has nothing to do with the network, as it is.
        """
        library = library_of(request)
        try:
            return sync_response(library, request, self.send_sync(read_request_sync(request)))
        except NETWORK_ERRORS as error:
            failure = to_theirs(error, library, request, answered=False)
        raise failure
