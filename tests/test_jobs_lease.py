from __future__ import annotations

from dataclasses import dataclass

import anyio
from job_rows import add, claim, run_out
from job_workers import until

from jobs import claims, rows, sweep
from jobs.database import Database
from jobs.errors import StorageError
from jobs.lease import Health, LeaseKeeper

pytest_plugins = ["job_fixtures"]


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def keeper(database: Database, clock: Clock, *, lease: float = 15.0) -> LeaseKeeper:
    return LeaseKeeper(database, "w1", lease=lease, health=Health(lease, clock), clock=clock)


def test_a_fresh_process_lets_living_workers_renew_first() -> None:
    clock = Clock()
    health = Health(15.0, clock)

    assert not health.settled()
    clock.now += 5.0
    assert health.settled()


def test_after_an_outage_no_lease_has_run_out_for_a_whole_lease() -> None:
    clock = Clock()
    health = Health(15.0, clock)
    clock.now += 100.0
    health.failed()

    clock.now += 14.9
    assert not health.settled()
    clock.now += 0.1
    assert health.settled()


async def test_renewing_moves_the_deadline_of_what_is_held(database: Database) -> None:
    clock = Clock()
    it = keeper(database, clock)
    held = it.hold(claim(database, add(database)), since=clock.now)
    assert held.safe_until == 112.0

    clock.now = 105.0
    assert await it.renew()

    assert held.safe_until == 117.0
    assert held.reason is None


async def test_an_attempt_whose_row_is_someone_elses_is_ended(database: Database) -> None:
    it = keeper(database, Clock())
    lost, kept = (it.hold(claim(database, add(database)), since=100.0) for _ in range(2))
    run_out(database, lost.claim.job)
    sweep.rescue(database)

    await it.renew()

    assert (lost.reason, kept.reason) == ("lost", None)
    assert lost.scope.cancel_called


async def test_an_attempt_that_was_cancelled_is_ended(database: Database) -> None:
    it = keeper(database, Clock())
    held = it.hold(claim(database, add(database)), since=100.0)
    database.write(rows.cancel, held.claim.job.job_id)

    await it.renew()

    assert held.reason == "lost"


async def test_the_first_reason_counts(database: Database) -> None:
    it = keeper(database, Clock())
    held = it.hold(claim(database, add(database)), since=100.0)

    it.interrupt_all("shutdown")
    it.interrupt(*held.claim.key, "lost")

    assert held.reason == "shutdown"


class Broken(Database):
    """A database that has gone away."""

    async def awrite(self, *_: object, **__: object) -> None:  # type: ignore[override]
        raise StorageError("gone")


async def test_an_attempt_that_cannot_renew_is_ended_before_its_lease(database: Database) -> None:
    health = Health(0.6)
    it = LeaseKeeper(Broken("sqlite:///gone.db"), "w1", lease=0.6, health=health)
    since = anyio.current_time()
    held = it.hold(claim(database, add(database)), since=since)
    async with anyio.create_task_group() as group:
        group.start_soon(it.run)
        await until(lambda: held.reason is not None)
        group.cancel_scope.cancel()

    assert held.reason == "lease"
    assert anyio.current_time() - since < 0.6
    assert not health.settled()


async def test_an_ended_attempt_is_forgotten(database: Database) -> None:
    it = keeper(database, Clock())
    held = it.hold(claim(database, add(database)), since=100.0)
    it.drop(held)
    database.write(claims.release, held.claim)

    await it.renew()

    assert it.count == 0
    assert held.reason is None
