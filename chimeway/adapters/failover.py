"""The adapters of one channel, in order: which of them stands in for which, and what an attempt came out as."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from chimeway.adapters.base import Adapter, name_of
from chimeway.adapters.calling import Called, call
from chimeway.errors import DeliveryError, PermanentFailure
from chimeway.message import OutgoingMessage, Receipt
from chimeway.portal import run_in_portal


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One adapter that did not take the message."""

    adapter: str
    error: Exception
    error_class: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Handed:
    """How an attempt came out: a receipt or an error."""

    #: Who took it; with an error, whose error it is.
    adapter: str
    receipt: Receipt | None = None
    error: Exception | None = None
    #: A word for the error: `temporary`, `permanent`, `bounced`, `timeout`, `unknown`, `bad_receipt`, `busy`, `no_address`.
    error_class: str | None = None
    #: Everyone that did not take it, in order.
    tried: Sequence[Tried] = ()


async def hand_to(
    adapters: Sequence[Adapter],
    message: OutgoingMessage,
    timeout: float,  # noqa: ASYNC109 - each adapter has it to itself
    *,
    stay_with: str | None = None,
) -> Handed:
    """Hand a message to the first adapter that takes it. Nothing that an adapter raises is raised here.

    The next one is asked after a failure that says the message was not taken. After a bounce there is nothing to ask, and
    after a time-out the message may be on its way, so nobody else is asked in this attempt.

    Args:
        adapters: In order.
        message: What to hand over.
        timeout: Seconds for each adapter.
        stay_with: The adapter that an earlier attempt got no answer of; it is asked before the others.
    """
    tried: list[Tried] = []
    for adapter in in_order(adapters, message, stay_with=stay_with):
        called = await call(adapter, message, timeout)
        if called.receipt is not None:
            return Handed(adapter=name_of(adapter), receipt=called.receipt, tried=tuple(tried))
        tried.append(_tried(adapter, called))
        if is_last_word(called):
            break
    return verdict(message, tried)


def hand_to_sync(
    adapters: Sequence[Adapter], message: OutgoingMessage, timeout: float, *, stay_with: str | None = None
) -> Handed:
    """Do as `hand_to` does for a thread that waits, also for one that runs an event loop, which stands still meanwhile.

    Args:
        adapters: In order. Plain ones run in threads of their own, so that the time-out holds, asynchronous ones in the one
            event loop that synchronous callers share.
        message: What to hand over.
        timeout: Seconds for each adapter.
        stay_with: The adapter that an earlier attempt got no answer of; it is asked before the others.

    Raises:
        AquilaError: The process is exiting.
    """
    return run_in_portal(partial(hand_to, adapters, message, timeout, stay_with=stay_with))


def in_order(
    adapters: Sequence[Adapter], message: OutgoingMessage, *, stay_with: str | None
) -> list[Adapter]:
    """Give the adapters that may be asked, the one to stay with first."""
    able = [one for one in adapters if message.address or not getattr(one, "needs_address", False)]
    return sorted(able, key=lambda one: name_of(one) != stay_with)


def is_last_word(called: Called) -> bool:
    """Say whether no other adapter is to be asked in this attempt."""
    return called.may_have_arrived or called.error_class == "bounced"


def verdict(message: OutgoingMessage, tried: Sequence[Tried]) -> Handed:
    """Say how an attempt came out that no adapter took: as the last word, if there was one, else as what can come right.

    Args:
        message: What was to be handed over.
        tried: Who did not take it, in order.
    """
    if not tried:
        words = f"no adapter of the channel {message.channel!r} can reach a recipient without an address"
        return Handed(adapter="", error=PermanentFailure(words), error_class="no_address")
    last = tried[-1]
    again = [one for one in tried if not isinstance(one.error, PermanentFailure)]
    if last.error_class in {"bounced", "timeout", "bad_receipt"} or not again:
        chosen = last
    else:
        # One that can come right decides, and of those the one that may be asked again soonest.
        chosen = min(again, key=_pause)
    return Handed(
        adapter=chosen.adapter, error=chosen.error, error_class=chosen.error_class, tried=tuple(tried)
    )


def _tried(adapter: Adapter, called: Called) -> Tried:
    error = called.error or PermanentFailure(f"{name_of(adapter)} gave neither a receipt nor an error")
    return Tried(adapter=name_of(adapter), error=error, error_class=called.error_class or "unknown")


def _pause(tried: Tried) -> float:
    return (tried.error.retry_after or 0.0) if isinstance(tried.error, DeliveryError) else 0.0
