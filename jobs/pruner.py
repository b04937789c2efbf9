"""Prunes every few minutes, in one worker for all; and whenever somebody asks for it."""

from __future__ import annotations

import logging
import math
import time

import anyio

from aquila.errors import ConfigError
from jobs.broker import runtime
from jobs.errors import StorageError
from jobs.leader import Leadership
from jobs.pruning import PAUSE, Pruned, Pruning, keep_by_state
from jobs.runtime import Runtime
from jobs.threads import in_thread

logger = logging.getLogger("jobs")

#: Seconds between two rounds; the first comes sooner, but not in the bustle of the start.
PERIOD = 300.0
FIRST = 20.0
#: The name under which one worker prunes for all.
LEADER = "pruner"


class Pruner:
    """Prunes every few minutes, in the one worker that leads. Two at a time do no harm."""

    def __init__(
        self, runtime: Runtime, worker_id: str, *, period: float = PERIOD, first: float = FIRST
    ) -> None:
        """Prepare the service.

        Args:
            runtime: Where the jobs live, and how long rows are kept.
            worker_id: This worker.
            period: Seconds between two rounds.
            first: Seconds until the first.
        """
        self._runtime = runtime
        self._period = period
        self._first = min(first, period)
        # The lease is longer than the pause: who leads goes on leading, and a dead leader is missed for two rounds at most.
        self._leadership = Leadership(runtime.database(), worker_id, 1.5 * period)

    async def run(self) -> None:
        """Prune until cancelled; then another worker does."""
        await anyio.sleep(self._first)
        try:
            while True:
                try:
                    await self._round()
                except StorageError as error:
                    logger.warning("old jobs stay for now: %s", error)
                await anyio.sleep(self._period)
        finally:
            await self._leadership.resign([LEADER])

    async def _round(self) -> None:
        led = await self._leadership.lead([LEADER])
        if LEADER not in led.names:
            return
        settings = self._runtime.settings
        pruning = Pruning(
            self._runtime.database(), keep_by_state(settings.keep_completed, settings.keep_discarded)
        )
        await pruning.finish()


def prune(*, completed: float | None = None, discarded: float | None = None, dry_run: bool = False) -> Pruned:
    """Remove old rows now; a worker does so by itself every few minutes.

    Args:
        completed: Seconds that completed and cancelled jobs are kept after their end; None means as configured, 0 keeps none.
        discarded: The same for discarded jobs.
        dry_run: Count only; unique keys are not counted.

    Returns:
        How many rows were removed, or would be.

    Raises:
        ConfigError: A value cannot be used, or the jobs cannot be used as configured.
        StorageError: The database failed; what was removed by then stays so.
    """
    pruning = _chosen(completed, discarded)
    if dry_run:
        return pruning.count()
    while pruning.step():
        time.sleep(PAUSE)
    return pruning.pruned()


async def aprune(
    *, completed: float | None = None, discarded: float | None = None, dry_run: bool = False
) -> Pruned:
    """Do as `prune` does, without blocking the loop. Cancelled, it stops after the batch.

    Raises:
        ConfigError: A value cannot be used, or the jobs cannot be used as configured.
        StorageError: The database failed; what was removed by then stays so.
    """
    pruning = await in_thread(_chosen, completed, discarded)
    if dry_run:
        return await in_thread(pruning.count)
    await pruning.finish()
    return pruning.pruned()


def _chosen(completed: float | None, discarded: float | None) -> Pruning:
    for name, value in (("completed", completed), ("discarded", discarded)):
        if value is not None and (isinstance(value, bool) or math.isnan(value) or value < 0):
            raise ConfigError(f"{name}={value!r} must be seconds from zero; math.inf keeps rows for ever")
    used = runtime()
    kept = used.settings
    return Pruning(
        used.database(),
        keep_by_state(
            kept.keep_completed if completed is None else completed,
            kept.keep_discarded if discarded is None else discarded,
        ),
    )
