"""`CassetteTransport`: cassettes for clients that are not Aquila's, as a transport of httpx and httpx2.

A program sets it once, in the client it gives to an SDK. In production it passes everything through untouched; inside a
`use` block, or in a test with a cassette, it plays and records.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from aquila.cassette.matching.rules import Rules
from aquila.cassette.scope import Scope
from aquila.cassette.wrapping import deck_for
from aquila.errors import ConfigError
from aquila.settings import read_settings
from aquila.transport.guest import Guest
from aquila.transport.guest_errors import NETWORK_ERRORS, to_theirs
from aquila.transport.guest_request import find_library, library_of, read_request, read_request_sync
from aquila.transport.guest_response import async_response, sync_response
from aquila.transport.library_transport import LibraryTransport

if TYPE_CHECKING:
    from aquila.cassette.deck import Deck
    from aquila.cassette.faults import Fault

_ASYNC = "handle_async_request"
_SYNC = "handle_request"


class CassetteTransport(Guest):
    """Plays and records what a client of httpx or httpx2 sends, asynchronous or not.

    Args:
        name: Path below the cassette folder, without suffix: `jobs/explain`; None for the cassette in effect at the
            time of each request, that of `aquila.cassette.use` or of the test. Without one, everything passes through.
        inner: The transport that does the sending, closed with this one; None for the library's own, made when
            something is sent. It is the place for proxies, certificates and limits.
        mode: The mode of the named cassette; None for `AQUILA_CASSETTES`, else `none` in tests and CI, else `off`.
        speed: 0 replays the named cassette without waiting, 1 in the recorded time; None for `AQUILA_CASSETTE_SPEED`.
        rules: What is compared and hidden in the named cassette; None for everything and the defaults.
        faults: What is to go wrong in a replay of the named cassette: `Disconnect(after_chunks=3)`.

    Example:
        `openai.AsyncOpenAI(http_client=httpx2.AsyncClient(transport=CassetteTransport()))`

    Raises:
        ConfigError: The name leads out of the folder, there is no such mode, or what belongs to a named cassette stands
            without a name.
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        inner: Any | None = None,
        mode: str | None = None,
        speed: float | None = None,
        rules: Rules | None = None,
        faults: Iterable[Fault] = (),
    ) -> None:
        faults = tuple(faults)
        if name is None and (mode, speed, rules, faults) != (None, None, None, ()):
            raise ConfigError(
                "CassetteTransport: mode=, speed=, rules= and faults= belong to a named cassette; "
                "give a name, or give them to aquila.cassette.use"
            )
        self._scope = Scope(name, mode, speed=speed, rules=rules, faults=faults) if name is not None else None
        self._inner = inner
        self._own: dict[tuple[Any, str], Any] = {}
        self._making = threading.Lock()

    async def handle_async_request(self, request: Any) -> Any:
        """Answer a request of an `AsyncClient`.

        Args:
            request: The library's request.

        Raises:
            BaseException: The library's own error for one of the network, such as `httpx.ReadTimeout`.
            AquilaError: What is wrong with the cassette or the settings, as it is.
        """
        library = library_of(request)
        deck = self._deck()
        if deck is None:
            return await self._transport(library, _ASYNC).handle_async_request(request)
        below = LibraryTransport(library, request, lambda: self._transport(library, _ASYNC))
        try:
            answer = await deck.send(await read_request(request), lambda: below)
        except NETWORK_ERRORS as error:
            failure = to_theirs(error, library, request, answered=False)
        else:
            return async_response(library, request, answer, below.head)
        raise failure

    def handle_request(self, request: Any) -> Any:
        """Answer a request of a `Client`.

        Args:
            request: The library's request.

        Raises:
            BaseException: The library's own error for one of the network, such as `httpx.ReadTimeout`.
            AquilaError: What is wrong with the cassette or the settings, as it is.
        """
        library = library_of(request)
        deck = self._deck()
        if deck is None:
            return self._transport(library, _SYNC).handle_request(request)
        below = LibraryTransport(library, request, lambda: self._transport(library, _SYNC))
        try:
            answer = deck.send_sync(read_request_sync(request), lambda: below)
        except NETWORK_ERRORS as error:
            failure = to_theirs(error, library, request, answered=False)
        else:
            return sync_response(library, request, answer, below.head)
        raise failure

    async def aclose(self) -> None:
        """Write answers that nobody finished reading, and close the transports below.

        Raises:
            CassetteError: A secret is still inside, or the file cannot be written.
        """
        try:
            self._close_cassette()
        finally:
            for transport in self._closing():
                if hasattr(transport, "aclose"):
                    await transport.aclose()
                else:
                    transport.close()

    def close(self) -> None:
        """Write answers that nobody finished reading, and close the transports below that block.

        Raises:
            CassetteError: A secret is still inside, or the file cannot be written.
        """
        try:
            self._close_cassette()
        finally:
            for transport in self._closing(blocking=True):
                transport.close()

    def _deck(self) -> Deck | None:
        return deck_for(self._scope, read_settings(), remedy="name one: CassetteTransport('name')")

    def _transport(self, library: Any, method: str) -> Any:
        if self._inner is not None:
            _check_inner(self._inner, library, method)
            return self._inner
        with self._making:
            own = self._own.get((library, method))
            if own is None:
                make = library.AsyncHTTPTransport if method == _ASYNC else library.HTTPTransport
                own = self._own[library, method] = make()
            return own

    def _close_cassette(self) -> None:
        if self._scope is not None:
            self._scope.close()

    def _closing(self, *, blocking: bool = False) -> list[Any]:
        with self._making:
            listed = [*self._own.values(), *([] if self._inner is None else [self._inner])]
            closing = [item for item in listed if not blocking or hasattr(item, "close")]
            # It may be used again afterwards.
            self._own = {key: item for key, item in self._own.items() if item not in closing}
        return closing


def _check_inner(inner: Any, library: Any, method: str) -> None:
    own = find_library(type(inner))
    name = library.__name__
    if own is not None and own is not library:
        raise ConfigError(
            f"CassetteTransport: inner is a transport of {own.__name__} and the client is one of {name}; "
            f"give one of {name}"
        )
    if not hasattr(inner, method):
        wanted = "AsyncHTTPTransport" if method == _ASYNC else "HTTPTransport"
        raise ConfigError(
            f"CassetteTransport: inner is a {type(inner).__name__}, which has no {method}; "
            f"give a {name}.{wanted}, or none"
        )
