"""The transport of one call, with the cassette that holds for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from aquila.cassette.blocks import in_effect
from aquila.cassette.defaults import DEFAULTS
from aquila.cassette.scope import Scope
from aquila.errors import CassetteMissing
from aquila.settings import Settings
from aquila.transport.base import Transport

if TYPE_CHECKING:
    from aquila.cassette.deck import Deck


def wrap(
    make: Callable[[], Transport],
    name: str | None,
    *,
    settings: Settings,
    mode: str | None = None,
    scope: Scope | None = None,
) -> Transport:
    """Give the transport of one call: a cassette over the one it would use, or that one itself.

    Args:
        make: Gives the transport the call would use; called only when something is to be sent, so that replaying
            starts nothing. Its owner closes what it gives; closing the cassette's transport does not.
        name: The call's own `cassette=`, which it shares with no other call; None for `scope`.
        settings: Where cassettes are, and the mode when nobody names one.
        mode: The explicit mode of a named cassette.
        scope: The cassette of the call's Client; None for the one in effect, if there is one.

    Raises:
        ConfigError: The name leads out of the folder, or there is no such mode, or PyYAML is missing.
        CassetteError: It is not clear which cassette is meant.
        CassetteMissing: A test that must name a cassette names none.
    """
    named = Scope(name, mode) if name is not None else scope
    deck = deck_for(named, settings, remedy="pass cassette= to the call")
    if deck is None:
        return make()
    from aquila.cassette.deck import DeckTransport  # noqa: PLC0415 - see Scope.deck

    return DeckTransport(deck, make, shared=name is None)


def deck_for(scope: Scope | None, settings: Settings, *, remedy: str) -> Deck | None:
    """Open the cassette that holds for a call; None when there is none, or its mode is `off`.

    Args:
        scope: The one that the call or its client names; None for the one in effect.
        settings: Where cassettes are, and the mode when nobody names one.
        remedy: How a call of this kind names a cassette.

    Raises:
        ConfigError: There is no such mode, or PyYAML is missing.
        CassetteError: It is not clear which cassette is meant.
        CassetteMissing: A test that must name a cassette names none.
    """
    chosen = scope or in_effect(settings)
    if chosen is not None:
        return chosen.deck(settings)
    if DEFAULTS.required:
        raise CassetteMissing(
            "this test names no cassette, and `aquila_require_cassette` is on; mark it with "
            f"@pytest.mark.aquila_cassette, or {remedy}"
        )
    return None
