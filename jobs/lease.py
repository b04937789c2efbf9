"""Keeps this process's claims alive, and ends an attempt in time when its claim cannot be kept."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Literal

import anyio
from sqlalchemy import Connection

from jobs import census
from jobs.claims import Claim
from jobs.database import Database
from jobs.errors import StorageError
from jobs.renewal import Renewal, renew

logger = logging.getLogger("jobs")

#: Why an attempt is interrupted: the worker stops, the lease could not be renewed, the row is no longer ours, or its queue's
#: limit over all workers was reached before it began.
Reason = Literal["shutdown", "lease", "lost", "limit"]

#: The part of a lease after which an attempt that could not renew it is ended; the rest is for its clean-up.
SAFE_PART = 0.8


class Health:
    """When this process saw the database fail last. Nobody's lease is taken to have run out soon after."""

    def __init__(self, lease: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._lease = lease
        self._clock = clock
        # A process that has just begun cannot know of an outage: it gives living workers time to renew once.
        self._settled_at = clock() + lease / 3

    def failed(self) -> None:
        """Note that the database has failed just now."""
        self._settled_at = self._clock() + self._lease

    def settled(self) -> bool:
        """Say whether leases could be renewed for long enough to trust one that ran out."""
        return self._clock() >= self._settled_at


class Held:
    """An attempt that runs here under a lease."""

    def __init__(self, claim: Claim, safe_until: float) -> None:
        self.claim = claim
        #: To be entered around the actor.
        self.scope = anyio.CancelScope()
        #: On the monotonic clock.
        self.safe_until = safe_until
        self.reason: Reason | None = None
        #: What the attempt is to fail with, if it was ended for a fault of its own.
        self.error: BaseException | None = None

    def interrupt(self, reason: Reason) -> None:
        """Cancel the attempt; the first word counts."""
        if self.reason is None and self.error is None:
            self.reason = reason
            self.scope.cancel()

    def fail(self, error: BaseException) -> None:
        """Cancel the attempt and let it fail with `error`; the first word counts."""
        if self.reason is None and self.error is None:
            self.error = error
            self.scope.cancel()


class LeaseKeeper:
    """Renews every lease of the process in one statement, three times within each."""

    def __init__(
        self,
        database: Database,
        worker_id: str,
        *,
        lease: float,
        health: Health,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._worker_id = worker_id
        #: Seconds a claim lasts unless it is renewed.
        self.lease = lease
        self._health = health
        self._clock = clock
        self._held: dict[tuple[str, int], Held] = {}

    def hold(self, claim: Claim, *, since: float) -> Held:
        """Look after an attempt.

        Args:
            claim: Its claim.
            since: When the claim was asked for, on the monotonic clock: its lease cannot have begun earlier.
        """
        held = Held(claim, since + SAFE_PART * self.lease)
        self._held[claim.key] = held
        return held

    def drop(self, held: Held) -> None:
        """Stop looking after an attempt."""
        self._held.pop(held.claim.key, None)

    def interrupt(self, job_id: str, epoch: int, reason: Reason) -> None:
        """End one attempt, if it runs here; a newer one of the same job goes on."""
        held = self._held.get((job_id, epoch))
        if held is not None:
            held.interrupt(reason)

    def interrupt_all(self, reason: Reason) -> None:
        """End every attempt that runs here."""
        for held in list(self._held.values()):
            held.interrupt(reason)

    @property
    def count(self) -> int:
        """How many attempts run here."""
        return len(self._held)

    async def run(self) -> None:
        """Renew and watch until cancelled."""
        async with anyio.create_task_group() as group:
            # Apart, because a database that hangs must not keep the deadlines from being seen.
            group.start_soon(self._watch)
            while True:
                renewed = await self.renew()
                await anyio.sleep(self.lease / 3 if renewed else min(self.lease / 10, 1.0))

    async def renew(self) -> bool:
        """Renew once; False if a lease could not be renewed. Attempts whose row is no longer ours are ended."""
        asked = self._clock()
        keys = list(self._held)
        try:
            now = await self._database.awrite(_renew, self._worker_id, keys, self.lease)
        except StorageError as error:
            self._health.failed()
            logger.warning("leases could not be renewed: %s", error)
            return False
        for key in keys:
            held = self._held.get(key)
            if held is None:
                continue
            if key in now.renewed:
                held.safe_until = asked + SAFE_PART * self.lease
            elif key not in now.held:
                held.interrupt("lost")
        if self._clock() - asked > self.lease / 3:
            # It hung, and others could not renew either.
            self._health.failed()
        return now.renewed.issuperset(now.held.intersection(keys))

    async def _watch(self) -> None:
        while True:
            await anyio.sleep(self.lease / 20)
            now = self._clock()
            for held in list(self._held.values()):
                if held.safe_until <= now:
                    held.interrupt("lease")


def _renew(connection: Connection, worker_id: str, keys: list[tuple[str, int]], lease: float) -> Renewal:
    census.seen(connection, worker_id, lease)
    return renew(connection, worker_id, keys, lease)
