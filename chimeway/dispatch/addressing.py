"""Where a channel reaches a recipient that brought no address: the host's own function says it, while no transaction is open."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import anyio

from chimeway.adapters.calling import too_many_left
from chimeway.adapters.failover import Handed
from chimeway.adapters.guarded_call import Raised, guarded
from chimeway.errors import TemporaryFailure
from chimeway.message import OutgoingMessage
from chimeway.settings import settings


async def addressed(message: OutgoingMessage) -> OutgoingMessage | Handed:
    """Give the message with its address; if that cannot be found out, how the attempt came out.

    Nobody knowing one is no failure: then the message has none.
    """
    chosen = settings()
    if message.address is not None or chosen.addresses is None:
        return message
    if (words := too_many_left()) is not None:
        return _unknown(words)
    # A function that does not answer is left behind in its thread.
    address: Any = Raised(TimeoutError())
    with anyio.move_on_after(chosen.timeout):
        address = await guarded(partial(chosen.addresses, message.recipient_identity, message.channel))
    if isinstance(address, Raised):
        # Its words may hold the address.
        return _unknown(f"the addresses function gave none: {type(address.error).__name__}")
    if address is not None and not isinstance(address, str):
        return _unknown(f"the addresses function gave {type(address).__name__}, and must give a text or None")
    return replace(message, address=address or None)


def _unknown(words: str) -> Handed:
    return Handed(adapter="", error=TemporaryFailure(words), error_class="address_unknown")
