"""One attempt of one job: its actor runs under the claim's lease, with everything around it that a job's runs need."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import anyio

from aquila.sink.ambient import ambient
from aquila.tools.ledger import recording
from jobs import claims
from jobs.arguments import plain_metadata, unpack
from jobs.capture import AttemptSink, stored_forms
from jobs.cassettes import JobCassette
from jobs.claims import Captured, Claim
from jobs.context import JobContext, running
from jobs.desk import Desk
from jobs.errors import JobsError, JobTimeout
from jobs.lease import Held
from jobs.meter import Meter
from jobs.middleware import Hooks
from jobs.observing import Observation
from jobs.outcome import Errored, Finished, Interrupted, Outcome
from jobs.policy import leaf, words
from jobs.reattach import Responses
from jobs.registry import ActorSpec
from jobs.rows import Job
from jobs.settlement import Settled, Settlement
from jobs.steps import Steps, ToolLedger

logger = logging.getLogger("jobs")


class Attempt:
    """Runs the actor under the claim's lease and has its outcome stored, exactly once or not at all."""

    def __init__(self, desk: Desk, spec: ActorSpec, claim: Claim, hooks: Hooks, *, since: float) -> None:
        """Prepare the attempt.

        Args:
            desk: What the attempts of this process share.
            spec: The actor.
            claim: The right to run it.
            hooks: The host's middleware.
            since: When the claim was asked for, on the monotonic clock.
        """
        self._desk = desk
        self._spec = spec
        self._claim = claim
        self._hooks = hooks
        self._since = since
        self._channel = desk.live.open(claim)
        self._sink = AttemptSink(self._channel)
        self._steps = Steps(desk.database, claim, in_thread=desk.threads.run_beside)
        self._responses = Responses(self._steps)
        #: None before the actor begins.
        self._meter: Meter | None = None

    @property
    def _job(self) -> Job:
        return self._claim.job

    async def run(self) -> None:
        """Run the actor, store the outcome and end the live stream if the job has ended."""
        held = self._desk.keeper.hold(self._claim, since=self._since)
        try:
            # What is logged until the outcome is stored belongs to the job.
            with running(self._context()), Observation(self._job, self._desk.metrics, self._captured) as seen:
                outcome, settled = await self._run(held)
                seen.end(settled, leaf(outcome.error) if isinstance(outcome, Errored) else None)
                if settled == "discarded":
                    # Nobody will read them any more, and their provider bills what goes on.
                    await self._responses.cancel_open()
                await self._hooks.after(outcome)
        finally:
            self._desk.keeper.drop(held)

    async def _run(self, held: Held) -> tuple[Outcome, Settled]:
        job = self._job
        settlement = Settlement(
            self._desk,
            self._spec,
            self._claim,
            channel=self._channel,
            captured=self._captured,
            since=self._since,
        )
        try:
            admitted = await self._desk.limits.admit(job.queue_name, job.job_id, job.epoch)
            outcome = await self._perform(held) if admitted else Interrupted("limit")
            # The lease is renewed until the outcome is stored: a database that is away must not cost the result.
            return outcome, await _settle(settlement, outcome)
        finally:
            self._desk.keeper.drop(held)

    async def _perform(self, held: Held) -> Outcome:
        cancelled_before = _cancellations()
        seconds = self._job.timeout
        if seconds is not None:
            held.scope.deadline = anyio.current_time() + seconds
        with held.scope:
            try:
                output, result = stored_forms(await self._call(), self._channel.text)
                return Finished(output, result)
            except asyncio.CancelledError as error:
                if anyio.current_effective_deadline() == -math.inf:
                    # A scope around this is cancelled: the attempt is interrupted.
                    raise
                _take_back(cancelled_before)
                return Errored(RuntimeError(f"the actor cancelled itself: {error!r}"))
            except BaseException as error:
                # A BaseException too: Rust extensions panic with one, and the other jobs must go on.
                if isinstance(error, GeneratorExit) and asyncio.current_task() is None:
                    # The event loop throws the attempt away.
                    raise
                if not held.scope.cancel_called:
                    return Errored(error)
                # What clean-up raised while the attempt was being cancelled is not why it ended.
                logger.warning("job %s raised while it was interrupted: %r", self._job.job_id, error)
        if held.reason is None and held.error is None and seconds is not None:
            held.error = JobTimeout(
                f"the attempt took longer than its timeout of {seconds:g} s", seconds=seconds
            )
        return Errored(held.error) if held.error is not None else Interrupted(held.reason or "lost")

    async def _call(self) -> Any:
        await self._hooks.before()
        args, kwargs = unpack(self._spec.fn, self._job.arguments)
        cassette = JobCassette(self._job.cassette, self._job.cassette_mode)
        # No stack of exits: there are thousands of attempts that wait in here.
        async with self._desk.metering.of(self._job) as self._meter, self._responses:
            with ambient(self._sink), cassette.playing(), recording(ToolLedger(self._steps)):
                if self._spec.is_async:
                    return await self._spec.fn(*args, **kwargs)
                # A thread cannot be cancelled; it is left behind, and whatever it still says is refused.
                return await self._desk.threads.run(partial(self._spec.fn, *args, **kwargs))

    def _captured(self) -> Captured:
        return replace(self._sink.captured(), cost=self._meter.cost if self._meter is not None else None)

    def _context(self) -> JobContext:
        job = self._job
        return JobContext(
            id=job.job_id,
            actor_name=job.actor_name,
            queue_name=job.queue_name,
            attempt=job.attempt,
            cassette=job.cassette,
            metadata=job.metadata,
            report=self._report,
            once=self._steps.once,
        )

    async def _report(self, values: Mapping[str, Any]) -> None:
        plain = plain_metadata(values)
        if not await self._desk.writes.write(claims.add_metadata, self._claim, plain):
            raise JobsError(
                f"job {self._job.job_id} is no longer held by this attempt; its progress is not stored"
            )
        self._channel.append("status", {"name": "progress", "data": plain})


async def _settle(settlement: Settlement, outcome: Outcome) -> Settled:
    try:
        return await settlement.settle(outcome)
    except Exception as error:
        # Silence would look like a worker's death when the lease ends.
        logger.exception("an outcome could not be stored")
        return await settlement.settle(Errored(JobsError(f"the outcome could not be stored: {words(error)}")))


def _cancellations() -> int:
    task = asyncio.current_task()
    return task.cancelling() if task is not None else 0


def _take_back(before: int) -> None:
    # The actor has cancelled its own task. What comes after it, which stores its outcome, must not end for that.
    task = asyncio.current_task()
    while task is not None and task.cancelling() > before:
        task.uncancel()
