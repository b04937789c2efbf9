"""Where a channel reaches a recipient that brought no address: the host's own function says it, while no transaction is open."""

from __future__ import annotations

import inspect
from dataclasses import replace
from functools import partial

import anyio
from anyio import to_thread

from chimeway.adapters.failover import Handed
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
    find = partial(chosen.addresses, message.recipient_identity, message.channel)
    try:
        with anyio.fail_after(chosen.timeout):
            # A plain function that hangs is left behind in its thread.
            found = await to_thread.run_sync(find, abandon_on_cancel=True)
            address = await found if inspect.isawaitable(found) else found
    except Exception as error:  # noqa: BLE001 - it is the host's own function, and may raise what it likes
        # Its words may hold the address.
        words = f"the addresses function gave none: {type(error).__name__}"
        return Handed(adapter="", error=TemporaryFailure(words), error_class="address_unknown")
    if address is not None and not isinstance(address, str):
        words = f"the addresses function gave {type(address).__name__}, and must give a text or None"
        return Handed(adapter="", error=TemporaryFailure(words), error_class="address_unknown")
    return replace(message, address=address or None)
