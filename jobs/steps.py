"""What an attempt has done and no later attempt of its job does again: steps, and the calls of tools.

Every record names the attempt's epoch and is refused once a newer attempt has begun. What an attempt records that has lost
its lease, and that nobody has taken over yet, is true and welcome.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, TypeVar

import anyio
from sqlalchemy import Connection, delete, insert, select, update

from aquila.errors import ConfigError
from aquila.tools import ToolOutput, check_json
from jobs.claims import Claim
from jobs.database import Database
from jobs.errors import JobsError, StorageError
from jobs.sqltypes import db_now
from jobs.step import LARGEST_VALUE, check_step_name, json_size, left_behind, step_value
from jobs.tables import jobs, steps

logger = logging.getLogger("jobs")

P = ParamSpec("P")
T = TypeVar("T")

#: Seconds between two tries while the database is away.
AGAIN = 0.5
#: How the calls of tools are named among the steps.
TOOL = "aquila.tool:"


@dataclass(frozen=True, slots=True)
class Recorded:
    """A step that an attempt has done."""

    #: JSON.
    value: Any


def find(connection: Connection, job_id: str, name: str) -> Recorded | None:
    """Read a step of a job; None if none of that name is recorded."""
    query = select(steps.c.value).where(steps.c.job_id == job_id, steps.c.name == name)
    row = connection.execute(query).first()
    return Recorded(row[0]) if row is not None else None


def record(connection: Connection, held: Claim, name: str, value: Any) -> bool:
    """Write a step, over one of that name; False if a newer attempt has begun and nothing was written."""
    if not is_newest(connection, held):
        return False
    mine = (steps.c.job_id == held.job.job_id) & (steps.c.name == name)
    values = {"value": value, "epoch": held.job.epoch, "created_at": db_now()}
    if connection.execute(update(steps).where(mine).values(**values)).rowcount == 0:
        connection.execute(insert(steps).values(job_id=held.job.job_id, name=name, **values))
    return True


def forget(connection: Connection, held: Claim, name: str) -> bool:
    """Drop a step; False if a newer attempt has begun and nothing was dropped."""
    if not is_newest(connection, held):
        return False
    connection.execute(delete(steps).where(steps.c.job_id == held.job.job_id, steps.c.name == name))
    return True


def is_newest(connection: Connection, held: Claim, *, state: str | None = None) -> bool:
    """Lock the job's row, and say whether no newer attempt has begun.

    Args:
        connection: A transaction that writes, so that none begins before it ends.
        held: The attempt.
        state: The state the job must be in; None for any.
    """
    query = select(jobs.c.state).where(jobs.c.id == held.job.job_id, jobs.c.epoch == held.job.epoch)
    found = connection.execute(query.with_for_update()).scalar_one_or_none()
    return found is not None and state in {None, found}


class Steps:
    """The steps of one job, as one attempt does and remembers them. While the database is away, it waits.

    Args:
        database: The rows.
        held: The attempt.
        in_thread: Runs plain functions; the thread must go on when the attempt is cancelled.
    """

    def __init__(
        self,
        database: Database,
        held: Claim,
        *,
        in_thread: Callable[[Callable[[], Any]], Awaitable[Any]] = left_behind,
    ) -> None:
        self._database = database
        self._held = held
        self._in_thread = in_thread
        self._names: set[str] = set()

    async def once(self, name: str, run: Callable[[], Any]) -> Any:
        """Give what is recorded under a name, else run and record; `JobContext.step` says the rest.

        Raises:
            ConfigError: The name or the value cannot be used, or the name was used before in this attempt.
            JobsError: A newer attempt has the job.
        """
        check_step_name(name)
        if name in self._names:
            raise ConfigError(
                f"step {name!r} is there twice in one attempt; tell them apart by name, such as '{name}:42'"
            )
        self._names.add(name)
        try:
            known = await self.recall(name)
            if known is not None:
                return known.value
            recorded: list[bool] = []
            value = await step_value(
                name, run, self._in_thread, lambda plain: recorded.append(self._try_to_record(name, plain))
            )
            if True not in recorded:
                await self.record(name, value)
        except BaseException:
            # What has failed may be tried again.
            self._names.discard(name)
            raise
        return value

    async def recall(self, name: str) -> Recorded | None:
        """Give what was recorded under a name; None if nothing was."""
        if self._held.job.epoch <= 1:
            # Nobody was there before.
            return None
        return await self._patiently(self._database.aread, find, self._held.job.job_id, name)

    async def record(self, name: str, value: Any) -> None:
        """Record JSON values under a name. Cancelling waits until it is done, because what it is about has happened.

        Raises:
            JobsError: A newer attempt has the job.
        """
        if not await self._patiently(self._database.awrite, record, self._held, name, value):
            raise self._stale(name)

    async def forget(self, name: str) -> None:
        """Drop what was recorded under a name."""
        await self._patiently(self._database.awrite, forget, self._held, name)

    async def is_cancelled(self) -> bool:
        """Say whether the job was cancelled during this attempt.

        Raises:
            StorageError: The database failed.
        """
        return await self._database.awrite(is_newest, self._held, state="cancelled")

    def _try_to_record(self, name: str, value: Any) -> bool:
        """Record from a thread, whose attempt may be over; False if the database is away."""
        try:
            kept = self._database.write(record, self._held, name, value)
        except StorageError as error:
            logger.warning("step %r of job %s waits to be recorded: %s", name, self._held.job.job_id, error)
            return False
        if not kept:
            raise self._stale(name)
        return True

    def _stale(self, name: str) -> JobsError:
        return JobsError(
            f"job {self._held.job.job_id} was taken over by a newer attempt; its step {name!r} is not recorded by this one"
        )

    async def _patiently(
        self,
        how: Callable[Concatenate[Callable[Concatenate[Connection, P], T], P], Awaitable[T]],
        work: Callable[Concatenate[Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        while True:
            try:
                with anyio.CancelScope(shield=True):
                    return await how(work, *args, **kwargs)
            except StorageError as error:
                logger.warning("the steps of job %s wait: %s", self._held.job.job_id, error)
            # Whoever may wait no longer is cancelled here: a lease that cannot be renewed ends the attempt.
            await anyio.sleep(AGAIN)


class ToolLedger:
    """Keeps the tool calls of a job's runs among its steps; see `aquila.tools.ledger`."""

    def __init__(self, steps_: Steps) -> None:
        self._steps = steps_

    async def recall(self, key: str) -> ToolOutput | None:
        """Give what an earlier attempt has recorded; None if it has not."""
        known = await self._steps.recall(f"{TOOL}{key}")
        return ToolOutput(known.value["output"], known.value["patch"]) if known is not None else None

    async def record(self, key: str, output: ToolOutput) -> None:
        """Keep what a tool gave. What no row can hold is not kept, and its tool runs again in another attempt.

        Raises:
            JobsError: A newer attempt has the job.
        """
        try:
            patch = check_json("context_patch", output.context_patch)
        except ConfigError as error:
            logger.warning("tool_not_recorded key=%s reason=%s", key, error)
            return
        value = {"output": output.value, "patch": patch}
        if (size := json_size(value)) > LARGEST_VALUE:
            logger.warning("tool_not_recorded key=%s reason=%d bytes", key, size)
            return
        await self._steps.record(f"{TOOL}{key}", value)
