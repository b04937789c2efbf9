"""What workers do, done here: carriers that are due, and sweeps, until all rests; then on to the next moment."""

from __future__ import annotations

from datetime import datetime
from importlib import import_module

from chimeway import store
from chimeway.carriers import LLM, QUEUES
from chimeway.sweeping import asweep
from chimeway.testing.fake_clock import FakeClock
from chimeway.testing.moments import next_moment
from jobs.testing.draining import adrain_queue

#: Rounds at one moment, far more than anything needs that comes to rest.
MOST_ROUNDS = 200


async def settle_until(clock: FakeClock, end: datetime) -> None:
    """Let everything happen that is due up to a moment, each at its own.

    Args:
        clock: Is moved on.
        end: Where it stands then.

    Raises:
        ConfigError: No sandbox of the jobs is open.
        StorageError: The database failed.
        AssertionError: It does not come to rest.
    """
    # The jobs' actors, which a worker has by importing chimeway.
    import_module("chimeway.actors")
    await _settle()
    while clock.now() < end:
        moment = await store.aread(next_moment, clock.now(), end)
        clock.move_to(moment or end)
        await _settle()


async def _settle() -> None:
    is_first = True
    for _ in range(MOST_ROUNDS):
        done = 0
        for queue in QUEUES:
            # The rows know when they are due, by the test's clock; what comes too early is put off.
            drained = await adrain_queue(queue, with_scheduled=True)
            # One that fails is given to another job by the sweep, and would fail for ever.
            done += drained.completed + drained.cancelled
        written = await adrain_queue(LLM)
        swept = await asweep()
        if done + written.completed + written.cancelled == 0 and not (swept.total and is_first):
            return
        is_first = False
    raise AssertionError(
        f"after {MOST_ROUNDS} rounds there is still work to be done; the last sweep found {swept}"
    )
