"""`LibraryTransport`: our seam over a transport of httpx or httpx2, for one request of theirs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from types import AsyncGeneratorType
from typing import Any

from aquila.transport.base import Request
from aquila.transport.failures import connection_failures
from aquila.transport.guest_errors import to_ours


class LibraryTransport:
    """Sends a library's request through a library's transport, as it is but for the encoding asked for.

    Args:
        library: The module of the request's library.
        original: The library's request, read.
        inner: Gives the library's transport; called when something is sent. Its owner closes it.
    """

    def __init__(self, library: Any, original: Any, inner: Callable[[], Any]) -> None:
        self._library = library
        self._original = original
        self._inner = inner
        #: The library's response; None until there is one.
        self.head: Any | None = None

    async def send(self, request: Request) -> _AsyncAnswer:
        """Send the original with the `accept-encoding` of `request`.

        Raises:
            ConnectionFailed: No connection could be made, or it broke.
            TimeoutExceeded: It took longer than the original allows.
        """
        inner = self._inner()
        try:
            self.head = await inner.handle_async_request(self._message(request))
        except connection_failures() as error:
            failure = to_ours(error, self._library, self._original)
            raise failure from error
        return _AsyncAnswer(self._library, self._original, self.head)

    def send_sync(self, request: Request) -> _SyncAnswer:
        """Send the original with the `accept-encoding` of `request`, and block.

        Raises:
            ConnectionFailed: No connection could be made, or it broke.
            TimeoutExceeded: It took longer than the original allows.
        """
        inner = self._inner()
        try:
            self.head = inner.handle_request(self._message(request))
        except connection_failures() as error:
            failure = to_ours(error, self._library, self._original)
            raise failure from error
        return _SyncAnswer(self._library, self._original, self.head)

    async def aclose(self) -> None:
        """Do nothing: the owner closes."""

    def _message(self, request: Request) -> Any:
        headers = self._original.headers.copy()
        if "accept-encoding" in request.headers:
            headers["accept-encoding"] = request.headers["accept-encoding"]
        return self._library.Request(
            self._original.method,
            self._original.url,
            headers=headers,
            # A stream, because for a content the library would add headers.
            stream=self._original.stream,
            extensions=self._original.extensions,
        )


class _Answer:
    def __init__(self, library: Any, request: Any, response: Any) -> None:
        self._library = library
        self._request = request
        self._response = response
        self._encoding: str = response.headers.get("content-encoding", "identity")
        self.status: int = response.status_code
        self.headers: Mapping[str, str] = dict(response.headers.items())

    @property
    def _is_plain(self) -> bool:
        # A transport around another may have read the body already; then it is there decoded.
        return self._encoding == "identity" and not self._response.is_stream_consumed


class _AsyncAnswer(_Answer):
    def __init__(self, library: Any, request: Any, response: Any) -> None:
        super().__init__(library, request, response)
        self._source = aiter(response.stream) if self._is_plain else response.aiter_bytes()
        self.chunks: AsyncIterator[bytes] = self

    def __aiter__(self) -> _AsyncAnswer:
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk: bytes = await anext(self._source)
        except connection_failures() as error:
            failure = to_ours(error, self._library, self._request, encoding=self._encoding)
            raise failure from error
        return chunk

    async def aclose(self) -> None:
        try:
            # Left alone, it would be finished by the garbage collector, in a task of its own.
            if isinstance(self._source, AsyncGeneratorType) and not self._source.ag_running:
                await self._source.aclose()
        finally:
            await self._response.aclose()


class _SyncAnswer(_Answer):
    def __init__(self, library: Any, request: Any, response: Any) -> None:
        super().__init__(library, request, response)
        self._source = iter(response.stream) if self._is_plain else response.iter_bytes()
        self.chunks: Iterator[bytes] = self

    def __iter__(self) -> _SyncAnswer:
        return self

    def __next__(self) -> bytes:
        try:
            chunk: bytes = next(self._source)
        except connection_failures() as error:
            failure = to_ours(error, self._library, self._request, encoding=self._encoding)
            raise failure from error
        return chunk

    def close(self) -> None:
        self._response.close()
