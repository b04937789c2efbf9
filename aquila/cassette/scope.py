"""Cassettes for one call, for a Client, or for everything inside a `with` block, child tasks included."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from aquila.cassette.mode import cassette_path, check_mode, check_name, resolve_mode
from aquila.settings import Settings
from aquila.transport.base import Transport

if TYPE_CHECKING:
    from aquila.cassette.deck import Deck


class Scope:
    """A cassette that many calls share; opened by the first of them, with that call's settings.

    Each interaction is played once among all the calls, and whether `once` records or replays is decided at their
    first request, for good.

    Args:
        name: Path below the cassette folder, without suffix: `jobs/explain`.
        mode: None for `AQUILA_CASSETTES`, else `none` in tests and CI, else `off`.
        secrets: Values that must not be recorded, besides those of the environment and of the requests themselves.

    Raises:
        ConfigError: The name leads out of the folder, or there is no such mode.
    """

    def __init__(self, name: str, mode: str | None = None, secrets: Iterable[str] = ()) -> None:
        check_name(name)
        if mode is not None:
            check_mode(mode)
        self._name = name
        self._mode = mode
        self._secrets = tuple(secrets)
        self._deck: Deck | None = None
        self._opening = threading.Lock()

    def deck(self, settings: Settings) -> Deck | None:
        """Give the shared cassette; None in mode `off`.

        Raises:
            ConfigError: There is no such mode, or PyYAML is missing.
        """
        mode = resolve_mode(self._mode, settings)
        if mode == "off":
            return None
        # In production the mode is off, and nothing there may need the `cassettes` extra.
        from aquila.cassette.deck import Deck  # noqa: PLC0415

        with self._opening:
            if self._deck is None:
                path = cassette_path(self._name, settings.cassette_dir)
                self._deck = Deck(path, mode, secrets=self._secrets)
            return self._deck

    def close(self) -> None:
        """Write what has come of answers that nobody finished reading. The scope may be used again.

        Raises:
            CassetteError: A secret is still inside, or the file cannot be written.
        """
        if self._deck is not None:
            self._deck.close()


_scope: ContextVar[Scope | None] = ContextVar("aquila_cassette", default=None)


@contextmanager
def use(name: str, *, mode: str | None = None, secrets: Iterable[str] = ()) -> Iterator[None]:
    """Play or record every call inside the block, child tasks included, with one cassette.

    All calls share its interactions, each of which is played once. Blocks nest: the inner one wins, and the outer one
    goes on after it. The cassette of a Client wins over both, and a call's own `cassette=` over all.

    Args:
        name: Path below the cassette folder, without suffix: `jobs/explain`.
        mode: None for `AQUILA_CASSETTES`, else `none` in tests and CI, else `off`.
        secrets: Values that must not be recorded, besides those of the environment and of the requests themselves.

    Raises:
        ConfigError: The name leads out of the folder, or there is no such mode.
        CassetteError: At the end of the block, if an answer that nobody finished reading cannot be written.
    """
    scope = Scope(name, mode, secrets)
    token = _scope.set(scope)
    try:
        yield
    finally:
        _scope.reset(token)
        scope.close()


def wrap(
    make: Callable[[], Transport],
    name: str | None,
    *,
    settings: Settings,
    mode: str | None = None,
    secrets: Iterable[str] = (),
    scope: Scope | None = None,
) -> Transport:
    """Give the transport of one call: a cassette over the one it would use, or that one itself.

    Args:
        make: Gives the transport the call would use; called only when something is to be sent, so that replaying
            starts nothing. Its owner closes what it gives; closing the cassette's transport does not.
        name: The call's own `cassette=`, which it shares with no other call; None for `scope`.
        settings: Where cassettes are, and the mode when nobody names one.
        mode: The explicit mode of a named cassette.
        secrets: Values that a named cassette must not record.
        scope: The cassette of the call's Client; None for that of the `use` block around it, if there is one.

    Raises:
        ConfigError: The name leads out of the folder, or there is no such mode, or PyYAML is missing.
    """
    chosen = Scope(name, mode, secrets) if name is not None else scope or _scope.get()
    deck = chosen.deck(settings) if chosen is not None else None
    if deck is None:
        return make()
    from aquila.cassette.deck import DeckTransport  # noqa: PLC0415 - see Scope.deck

    return DeckTransport(deck, make, shared=name is None)
