"""One attempt of one delivery, in three short phases: claim, call with no transaction open, record."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import datetime
from functools import partial

import anyio
from sqlalchemy import Connection

from chimeway import store
from chimeway.adapters.base import Adapter
from chimeway.adapters.failover import Handed, hand_to
from chimeway.dispatch.addressing import addressed
from chimeway.dispatch.claiming import Claim, NotClaimed, claim
from chimeway.dispatch.outcome import conclude
from chimeway.dispatch.recording import INTERRUPTED, record
from chimeway.errors import TemporaryFailure
from chimeway.models import DeliveryStatus, Outcome
from chimeway.portal import run_in_portal
from chimeway.settings import settings
from chimeway.tables import deliveries


async def perform(delivery_id: str) -> Outcome | NotClaimed | None:
    """Make one attempt, if the delivery may go out now.

    Returns:
        How the attempt came out; why there was none; None if somebody else had the delivery by its end.

    Raises:
        StorageError: The database failed. What was sent stays claimed until its lease is over.
        ConfigError: The tables are missing.
    """
    chosen = settings()
    got = await store.awrite(claim, delivery_id, chosen.clock.now(), lease=chosen.lease)
    if isinstance(got, NotClaimed):
        return got
    handed: Handed | None = None
    try:
        got, handed = await _hand(got)
    except anyio.get_cancelled_exc_class():
        with anyio.CancelScope(shield=True):
            await store.awrite(_record, got, _interrupted(), settings().clock.now())
        raise
    with anyio.CancelScope(shield=True):
        done = await store.awrite(_record, got, handed, settings().clock.now())
    return done  # noqa: RET504 - a scope may swallow its own cancellation, mypy says


def perform_sync(delivery_id: str) -> Outcome | NotClaimed | None:
    """Do as `perform` does, in the calling thread, which waits for the portal thread where the adapters are called.

    Returns:
        How the attempt came out; why there was none; None if somebody else had the delivery by its end.

    Raises:
        StorageError: The database failed. What was sent stays claimed until its lease is over.
        ConfigError: The tables are missing.
    """
    chosen = settings()
    got = store.write(claim, delivery_id, chosen.clock.now(), lease=chosen.lease)
    if isinstance(got, NotClaimed):
        return got
    got, handed = run_in_portal(partial(_hand, got))
    return store.write(_record, got, handed, settings().clock.now())


async def _hand(got: Claim) -> tuple[Claim, Handed | None]:
    """Call the adapters; give the attempt with its address, and None if the channel needs one and nobody knows it."""
    message = await addressed(got.message)
    if isinstance(message, Handed):
        return got, message
    # What is recorded leaves out this address as well.
    got = replace(got, message=message)
    adapters = _adapters(message.channel)
    if not adapters:
        return got, _no_adapter(message.channel)
    if message.address is None and all(_needs_address(one) for one in adapters):
        return got, None
    return got, await hand_to(adapters, message, settings().timeout, stay_with=got.stay_with)


def _adapters(channel: str) -> tuple[Adapter, ...]:
    return tuple(settings().channels.get(channel, ()))


def _no_adapter(channel: str) -> Handed:
    words = f"this process has no adapter for the channel {channel!r}; chimeway.configure(channels={{{channel!r}: ...}})"
    return Handed(adapter="", receipt=None, error=TemporaryFailure(words), error_class="no_adapter")


def _interrupted() -> Handed:
    words = "the worker was stopped before the channel had answered"
    return Handed(adapter="", receipt=None, error=TemporaryFailure(words), error_class=INTERRUPTED)


def _record(connection: Connection, got: Claim, handed: Handed | None, now: datetime) -> Outcome | None:
    if handed is not None:
        # Not for secrets: it only spreads the next attempts.
        return record(connection, got, handed, now, jitter=random.random())  # noqa: S311
    mine = (deliveries.c.claim_token == got.token, deliveries.c.status == DeliveryStatus.DISPATCHED.value)
    # Nothing was sent, so it was no attempt.
    unsent = {"attempt_count": got.attempt - 1}
    moved = conclude(
        connection, got.delivery, Outcome.SUPPRESSED, now, reason="no_address", where=mine, columns=unsent
    )
    return Outcome.SUPPRESSED if moved else None


def _needs_address(adapter: Adapter) -> bool:
    return bool(getattr(adapter, "needs_address", False))
