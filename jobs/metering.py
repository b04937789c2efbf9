"""`Metering`: provider limits and budgets of a worker process, as its attempts use them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from types import TracebackType

import anyio
import redis

from aquila.transport.gates import gated
from jobs.accounts import Accounts
from jobs.budget import Budget
from jobs.database import Database
from jobs.meter import Meter, budgets_of
from jobs.provider_gate import ProviderGate
from jobs.provider_limit import ProviderLimit
from jobs.rows import Job

#: Seconds that storing what an attempt has spent may take at its end; the next batch does it otherwise.
_CLOSE_SECONDS = 2.0


class Metering:
    """One for each worker process."""

    def __init__(
        self,
        database: Database,
        client: redis.Redis,
        *,
        provider_limits: Mapping[str, ProviderLimit],
        budgets: Mapping[str, Budget],
    ) -> None:
        """Prepare.

        Args:
            database: Where it is kept what was spent.
            client: Redis, where the workers share what they send.
            provider_limits: What a provider allows in a minute, by model.
            budgets: What all jobs with a tag may use together, by tag.
        """
        self._accounts = Accounts(database)
        self._gate = ProviderGate(client, provider_limits) if provider_limits else None
        self._budgets = budgets

    def of(self, job: Job) -> Metered:
        """Give the block in which an attempt of the job runs."""
        return Metered(Meter(self._accounts, budgets_of(job, self._budgets)), self._gate)

    async def run(self) -> None:
        """Store what is spent, and tell the other workers what was sent, until cancelled."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._accounts.run)
            if self._gate is not None:
                group.start_soon(self._gate.run)

    async def flush(self) -> None:
        """Do so once, when the worker ends."""
        await self._accounts.flush()
        if self._gate is not None:
            await self._gate.flush()


class Metered:
    """The block of one attempt: `async with metering.of(job) as meter`."""

    def __init__(self, meter: Meter, gate: ProviderGate | None) -> None:
        self._meter = meter
        self._gate = gate
        self._stack = ExitStack()

    async def __aenter__(self) -> Meter:
        try:
            await self._meter.open()
        except BaseException:
            await self._close()
            raise
        # The budget is asked first: a request that it refuses must not take a place from others.
        self._stack.enter_context(self._meter.counting())
        if self._gate is not None:
            self._stack.enter_context(gated(self._gate))
        return self._meter

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
        await self._close()
        # An actor may have caught it, or put an error of its own in its place. A cancel comes from elsewhere.
        if error is None or isinstance(error, Exception):
            self._meter.check()

    async def _close(self) -> None:
        # The attempt may be cancelled; what it spent is to be known to the next one all the same.
        with anyio.CancelScope(shield=True), anyio.move_on_after(_CLOSE_SECONDS):
            await self._meter.close()
