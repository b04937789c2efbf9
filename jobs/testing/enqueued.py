"""What has been sent in a sandbox and not run yet: asserted, refuted, listed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Unpack

import anyio
from sqlalchemy import Connection, select

from aquila.errors import ConfigError
from jobs.actors import Actor
from jobs.registry import actors, is_seconds
from jobs.rows import Job, as_job
from jobs.tables import WAITING, jobs
from jobs.testing.expectations import Expected, wanted_by
from jobs.testing.matching import Wanted, differences
from jobs.testing.order import as_added
from jobs.testing.standin import stand_in
from jobs.testing.wording import nothing_like, there_is
from jobs.threads import in_thread

#: Seconds between two looks at the rows.
LOOK_EVERY = 0.02


def assert_enqueued(
    actor: Actor[..., Any] | str | None = None, /, *, within: float = 0.0, **expected: Unpack[Expected]
) -> Job:
    """Fail unless a job like this waits to be run; give the first that does.

    Args:
        actor: Its actor, or the name of it; None means any.
        within: Seconds in which it may still come.
        expected: What it is like, see `Expected`.

    Raises:
        AssertionError: There is none; the message shows those that there are.
        ConfigError: No sandbox is open, or something expected cannot be in a job.
        StorageError: The database failed.
    """
    __tracebackhide__ = True
    wanted, deadline = wanted_by(actor, expected), _until(within)
    while True:
        found = _all()
        matching = _matching(wanted, found)
        if matching:
            return matching[0]
        if time.monotonic() >= deadline:
            raise AssertionError(nothing_like(wanted, found, actors()))
        time.sleep(LOOK_EVERY)


def refute_enqueued(
    actor: Actor[..., Any] | str | None = None, /, *, within: float = 0.0, **expected: Unpack[Expected]
) -> None:
    """Fail if a job like this waits to be run.

    Args:
        actor: Its actor, or the name of it; None means any.
        within: Seconds in which none may come either.
        expected: What it is like, see `Expected`.

    Raises:
        AssertionError: There is one.
        ConfigError: No sandbox is open, or something expected cannot be in a job.
        StorageError: The database failed.
    """
    __tracebackhide__ = True
    wanted, deadline = wanted_by(actor, expected), _until(within)
    while True:
        matching = _matching(wanted, _all())
        if matching:
            raise AssertionError(there_is(wanted, matching, actors()))
        if time.monotonic() >= deadline:
            return
        time.sleep(LOOK_EVERY)


def all_enqueued(actor: Actor[..., Any] | str | None = None, /, **expected: Unpack[Expected]) -> list[Job]:
    """Give the jobs like this that wait to be run, in the order in which they were sent.

    Args:
        actor: Their actor, or the name of it; None means any.
        expected: What they are like, see `Expected`.

    Raises:
        ConfigError: No sandbox is open, or something expected cannot be in a job.
        StorageError: The database failed.
    """
    return _matching(wanted_by(actor, expected), _all())


async def aassert_enqueued(
    actor: Actor[..., Any] | str | None = None, /, *, within: float = 0.0, **expected: Unpack[Expected]
) -> Job:
    """Do as `assert_enqueued` does, and let the loop go on meanwhile.

    Args:
        actor: Its actor, or the name of it; None means any.
        within: Seconds in which it may still come.
        expected: What it is like, see `Expected`.

    Raises:
        AssertionError: There is none; the message shows those that there are.
        ConfigError: No sandbox is open, or something expected cannot be in a job.
        StorageError: The database failed.
    """
    __tracebackhide__ = True
    wanted, deadline = wanted_by(actor, expected), _until(within)
    while True:
        found = await in_thread(_all)
        matching = _matching(wanted, found)
        if matching:
            return matching[0]
        if time.monotonic() >= deadline:
            raise AssertionError(nothing_like(wanted, found, actors()))
        await anyio.sleep(LOOK_EVERY)


async def arefute_enqueued(
    actor: Actor[..., Any] | str | None = None, /, *, within: float = 0.0, **expected: Unpack[Expected]
) -> None:
    """Do as `refute_enqueued` does, and let the loop go on meanwhile.

    Args:
        actor: Its actor, or the name of it; None means any.
        within: Seconds in which none may come either.
        expected: What it is like, see `Expected`.

    Raises:
        AssertionError: There is one.
        ConfigError: No sandbox is open, or something expected cannot be in a job.
        StorageError: The database failed.
    """
    __tracebackhide__ = True
    wanted, deadline = wanted_by(actor, expected), _until(within)
    while True:
        matching = _matching(wanted, await in_thread(_all))
        if matching:
            raise AssertionError(there_is(wanted, matching, actors()))
        if time.monotonic() >= deadline:
            return
        await anyio.sleep(LOOK_EVERY)


async def aall_enqueued(
    actor: Actor[..., Any] | str | None = None, /, **expected: Unpack[Expected]
) -> list[Job]:
    """Do as `all_enqueued` does, and let the loop go on meanwhile.

    Args:
        actor: Their actor, or the name of it; None means any.
        expected: What they are like, see `Expected`.

    Raises:
        ConfigError: No sandbox is open, or something expected cannot be in a job.
        StorageError: The database failed.
    """
    return _matching(wanted_by(actor, expected), await in_thread(_all))


def _until(within: float) -> float:
    if not is_seconds(within):
        raise ConfigError(f"within={within!r} must be seconds from zero")
    return time.monotonic() + within


def _all() -> list[Job]:
    used = stand_in()
    return used.database().read(_jobs_since, used.since)


def _jobs_since(connection: Connection, since: datetime) -> list[Job]:
    query = select(jobs).where(jobs.c.created_at >= since).order_by(*as_added(connection))
    return [as_job(row) for row in connection.execute(query).mappings()]


def _matching(wanted: Wanted, found: Sequence[Job]) -> list[Job]:
    return [job for job in found if job.state in WAITING and not differences(wanted, job)]
