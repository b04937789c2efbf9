"""Cassettes for one call, or for everything inside a `with` block, child tasks included."""

from __future__ import annotations

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
    """A `use` block: its cassette is opened by the first call inside, with that call's settings."""

    def __init__(self, name: str, mode: str | None, secrets: Iterable[str]) -> None:
        self.name = name
        self.mode = mode
        self.secrets = tuple(secrets)
        self.deck: Deck | None = None


_scope: ContextVar[Scope | None] = ContextVar("aquila_cassette", default=None)


@contextmanager
def use(name: str, *, mode: str | None = None, secrets: Iterable[str] = ()) -> Iterator[None]:
    """Play or record every call inside the block, child tasks included, with one cassette.

    All calls share its interactions, each of which is played once. Blocks nest: the inner one wins, and the outer one
    goes on after it. A call's own `cassette=` wins over both.

    Args:
        name: Path below the cassette folder, without suffix: `jobs/explain`.
        mode: None for `AQUILA_CASSETTES`, else `none` in tests and CI, else `off`.
        secrets: Values that must not be recorded, besides those of the environment and of the requests themselves.

    Raises:
        ConfigError: The name leads out of the folder, or there is no such mode.
        CassetteError: At the end of the block, if an answer that nobody finished reading cannot be written.
    """
    check_name(name)
    if mode is not None:
        check_mode(mode)
    scope = Scope(name, mode, secrets)
    token = _scope.set(scope)
    try:
        yield
    finally:
        _scope.reset(token)
        if scope.deck is not None:
            scope.deck.close()


def wrap(
    make: Callable[[], Transport],
    name: str | None,
    *,
    settings: Settings,
    mode: str | None = None,
    secrets: Iterable[str] = (),
) -> Transport:
    """Give the transport of one call: a cassette over the one it would use, or that one itself.

    Args:
        make: Gives the transport the call would use; called only when something is to be sent, so that replaying
            starts nothing. Its owner closes what it gives; closing the cassette's transport does not.
        name: The call's `cassette=`; None for the cassette of the `use` block around it, if there is one.
        settings: Where cassettes are, and the mode when nobody names one.
        mode: The explicit mode of a named cassette.
        secrets: Values that a named cassette must not record.

    Raises:
        ConfigError: The name leads out of the folder, or there is no such mode, or PyYAML is missing.
    """
    around = _scope.get()
    if name is None and around is None:
        return make()
    scope = around if name is None and around is not None else Scope(name or "", mode, secrets)
    resolved = resolve_mode(scope.mode, settings)
    path = cassette_path(scope.name, settings.cassette_dir)
    if resolved == "off":
        return make()
    # In production the mode is off, and nothing there may need the `cassettes` extra.
    from aquila.cassette.deck import Deck, DeckTransport  # noqa: PLC0415

    if scope.deck is None:
        scope.deck = Deck(path, resolved, secrets=scope.secrets)
    return DeckTransport(scope.deck, make, shared=scope is around)
