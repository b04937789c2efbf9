"""One attempt of one job, from its message to its stored outcome."""

from __future__ import annotations

import asyncio
import logging
import random
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio
from sqlalchemy import Connection

from aquila.errors import AquilaError
from aquila.sink.ambient import ambient
from jobs import claims
from jobs.arguments import plain_result, unpack
from jobs.capture import AttemptSink, stored_forms
from jobs.cassettes import JobCassette
from jobs.channel import Channel, LiveWriter
from jobs.claims import Claim
from jobs.context import JobContext, running
from jobs.database import Database
from jobs.errors import JobsError, JobTimeout, StorageError
from jobs.group_commit import GroupCommit
from jobs.lease import Health, Held, LeaseKeeper
from jobs.middleware import Hooks
from jobs.outcome import Errored, Finished, Interrupted, Outcome
from jobs.policy import Again, GiveUp, decide, leaf
from jobs.registry import ActorSpec
from jobs.rows import Job
from jobs.threads import Threads

logger = logging.getLogger("jobs")

#: What is said of an attempt whose outcome the row refused.
GIVEN_UP = "given up: another attempt has the job"
#: Seconds between two tries to store an outcome while the database is away.
STORE_AGAIN = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What the attempts of one worker process share."""

    database: Database
    writes: GroupCommit
    live: LiveWriter
    keeper: LeaseKeeper
    health: Health
    worker_id: str
    #: For plain functions.
    threads: Threads
    #: Told one line for each attempt that has ended.
    announce: Callable[[str], None]


class Attempt:
    """Runs the actor under the claim's lease and stores what came of it, exactly once or not at all."""

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
        self._channel: Channel = desk.live.open(claim)
        self._sink = AttemptSink(self._channel)

    @property
    def _job(self) -> Job:
        return self._claim.job

    async def run(self) -> None:
        """Run the actor, store the outcome and end the live stream if the job has ended."""
        held = self._desk.keeper.hold(self._claim, since=self._since)
        try:
            outcome = await self._perform(held)
            # The lease is renewed until the outcome is stored: a database that is away must not cost the result.
            await self._store(outcome)
        finally:
            self._desk.keeper.drop(held)
        await self._hooks.after(outcome)

    async def _perform(self, held: Held) -> Outcome:
        seconds = self._job.timeout
        if seconds is not None:
            held.scope.deadline = anyio.current_time() + seconds
        with held.scope:
            try:
                output, result = stored_forms(await self._call(), self._channel.text)
                return Finished(output, result)
            except asyncio.CancelledError as error:
                if _is_cancelled_from_outside():
                    raise
                return Errored(RuntimeError(f"the actor cancelled itself: {error!r}"))
            except (Exception, SystemExit) as error:  # noqa: BLE001 - stored in the row, whatever it is
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
        context = JobContext(
            id=self._job.job_id,
            attempt=self._job.attempt,
            cassette=self._job.cassette,
            metadata=self._job.metadata,
            report=self._report,
        )
        cassette = JobCassette(self._job.cassette, self._job.cassette_mode)
        with ambient(self._sink), running(context), cassette.playing():
            if self._spec.is_async:
                return await self._spec.fn(*args, **kwargs)
            # A thread cannot be cancelled; it is left behind, and whatever it still says is refused.
            return await self._desk.threads.run(partial(self._spec.fn, *args, **kwargs))

    async def _report(self, values: Mapping[str, Any]) -> None:
        plain = plain_result(dict(values))
        if not await self._desk.writes.write(claims.add_metadata, self._claim, plain):
            raise JobsError(
                f"job {self._job.job_id} is no longer held by this attempt; its progress is not stored"
            )
        self._channel.append("status", {"name": "progress", "data": plain})

    async def _store(self, outcome: Outcome) -> None:
        captured = self._sink.captured()
        match outcome:
            case Finished(output, result):
                kept = await self._write(
                    partial(
                        claims.complete, held=self._claim, output=output, result=result, captured=captured
                    )
                )
                if kept:
                    await self._desk.live.end(self._channel, "done", {})
                self._say("completed" if kept else GIVEN_UP)
            case Errored(error):
                await self._store_error(leaf(error), self._trace(error))
            case Interrupted("lost"):
                if await self._write(partial(claims.keep_partial, held=self._claim, captured=captured)):
                    await self._desk.live.end(self._channel, "cancelled", {})
                    self._say("cancelled")
                else:
                    self._say(GIVEN_UP)
            case Interrupted(reason):
                kept = await self._write(partial(claims.release, held=self._claim))
                self._say(f"put back ({reason})" if kept else GIVEN_UP)

    def _trace(self, error: BaseException) -> str | None:
        # Aquila's own errors say in one line what happened; anybody else's are found by their place.
        if isinstance(leaf(error), AquilaError):
            return None
        job = self._job
        logger.error(
            "job %s %s raised in attempt %d", job.job_id[:8], job.actor_name, job.attempt, exc_info=error
        )
        return "".join(traceback.format_exception(error))

    async def _store_error(self, error: BaseException, trace: str | None) -> None:
        verdict = decide(
            error,
            attempt=self._job.attempt,
            max_attempts=self._job.max_attempts,
            backoff=self._spec.backoff,
            jitter=random.random(),  # noqa: S311 - it spreads retries, it hides nothing
            age=(self._job.started_at or self._job.created_at).timestamp() - self._job.created_at.timestamp(),
        )
        said = {"error": type(error).__name__, "message": str(error)}
        if not await self._write(self._failure(verdict, error, trace)):
            self._say(GIVEN_UP)
        elif isinstance(verdict, Again):
            self._channel.append("retry", {**said, "delay": verdict.delay})
            await self._desk.live.flush()
            how = "failed, again" if verdict.counts else "waits, again"
            self._say(f"{how} in {verdict.delay:.1f} s: {said['error']}: {said['message']}")
        else:
            await self._desk.live.end(self._channel, "failed", said)
            self._say(f"discarded, {verdict.reason}: {said['error']}: {said['message']}")

    def _failure(
        self, verdict: Again | GiveUp, error: BaseException, trace: str | None
    ) -> Callable[[Connection], bool]:
        again = verdict if isinstance(verdict, Again) else None
        if again is not None and not again.counts:
            why = f"{type(error).__name__}: {error}"
            return partial(claims.wait, held=self._claim, delay=again.delay, why=why)
        return partial(
            claims.fail,
            held=self._claim,
            error=error,
            trace=trace,
            delay=again.delay if again is not None else None,
            reason=verdict.reason if isinstance(verdict, GiveUp) else None,
            captured=self._sink.captured(),
        )

    async def _write(self, work: Callable[[Connection], bool]) -> bool:
        while True:
            try:
                return await self._desk.writes.write(work)
            except StorageError as error:
                # The epoch makes a late write safe: it is refused if somebody else has the job by then.
                self._desk.health.failed()
                logger.warning("the outcome of job %s waits to be stored: %s", self._job.job_id, error)
            await anyio.sleep(STORE_AGAIN)

    def _say(self, what: str) -> None:
        seconds = time.monotonic() - self._since
        name = f"{self._job.job_id[:8]} {self._job.actor_name}"
        self._desk.announce(f"{name} {what} (attempt {self._job.attempt}, {seconds:.2f} s)")


def _is_cancelled_from_outside() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
