"""The transport of one call, with the cassette that holds for it."""

from __future__ import annotations

from collections.abc import Callable

from aquila.cassette.blocks import in_effect
from aquila.cassette.defaults import DEFAULTS
from aquila.cassette.scope import Scope
from aquila.errors import CassetteMissing
from aquila.settings import Settings
from aquila.transport.base import Transport


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
    chosen = Scope(name, mode) if name is not None else scope or in_effect(settings)
    if chosen is None and DEFAULTS.required:
        raise CassetteMissing(
            "this test names no cassette, and `aquila_require_cassette` is on; mark it with "
            "@pytest.mark.aquila_cassette, or pass cassette= to the call"
        )
    deck = chosen.deck(settings) if chosen is not None else None
    if deck is None:
        return make()
    from aquila.cassette.deck import DeckTransport  # noqa: PLC0415 - see Scope.deck

    return DeckTransport(deck, make, shared=name is None)
