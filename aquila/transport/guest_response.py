"""Answers of our seam as responses of httpx or httpx2, chunk for chunk.

The bodies are classes and not generators: closing early and being cancelled leave nothing behind. Each library accepts
streams of its own classes only, so a body's class is made for each library.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from aquila.transport.base import TransportResponse
from aquila.transport.guest_errors import NETWORK_ERRORS, to_theirs
from aquila.transport.sync_base import SyncResponse


def async_response(library: Any, request: Any, answer: TransportResponse, head: Any | None = None) -> Any:
    """Give the library's response for an answer.

    Args:
        library: The library's module.
        request: The library's request.
        answer: Closed with the response.
        head: The library's own response, where the answer comes from one; its head is kept as it is.
    """
    return _response(library, request, answer, _classes(library)[0](library, request, answer), head)


def sync_response(library: Any, request: Any, answer: SyncResponse, head: Any | None = None) -> Any:
    """Give the library's response for an answer that blocks; see `async_response`."""
    return _response(library, request, answer, _classes(library)[1](library, request, answer), head)


def _response(library: Any, request: Any, answer: Any, body: Any, head: Any | None) -> Any:
    headers: Iterable[tuple[str, str]] = (head or answer).headers.items()
    extensions = {}
    if head is not None:
        # A cookie is no list: several of them do not fit into one line.
        headers, extensions = head.headers.multi_items(), head.extensions
    if "content-encoding" in answer.headers:
        # The body comes decoded, so what describes its encoded form no longer holds.
        headers = [pair for pair in headers if pair[0] not in {"content-encoding", "content-length"}]
    return library.Response(
        answer.status,
        headers=[(name.encode(), value.encode(errors="surrogateescape")) for name, value in headers],
        stream=body,
        request=request,
        extensions=extensions,
    )


@lru_cache(maxsize=8)
def _classes(library: Any) -> tuple[type, type]:
    return (
        type("AsyncBody", (_AsyncBody, library.AsyncByteStream), {}),
        type("SyncBody", (_SyncBody, library.SyncByteStream), {}),
    )


class _AsyncBody:
    def __init__(self, library: Any, request: Any, answer: TransportResponse) -> None:
        self._library = library
        self._request = request
        self._answer = answer
        self._next = answer.chunks.__anext__

    def __aiter__(self) -> _AsyncBody:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await self._next()
        except NETWORK_ERRORS as error:
            failure = to_theirs(error, self._library, self._request, answered=True)
        raise failure

    async def aclose(self) -> None:
        await self._answer.aclose()


class _SyncBody:
    def __init__(self, library: Any, request: Any, answer: SyncResponse) -> None:
        self._library = library
        self._request = request
        self._answer = answer
        self._next = answer.chunks.__next__

    def __iter__(self) -> _SyncBody:
        return self

    def __next__(self) -> bytes:
        try:
            return self._next()
        except NETWORK_ERRORS as error:
            failure = to_theirs(error, self._library, self._request, answered=True)
        raise failure

    def close(self) -> None:
        self._answer.close()
