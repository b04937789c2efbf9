"""From an attempt's outcome to the row: stored exactly once, or refused because somebody else has the job."""

from __future__ import annotations

import logging
import random
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import anyio
from sqlalchemy import Connection

from aquila.errors import AquilaError
from jobs import claims
from jobs.channel import Channel
from jobs.claims import Captured, Claim
from jobs.credentials import redacted
from jobs.desk import Desk
from jobs.errors import NotStorable, StorageError
from jobs.outcome import Errored, Finished, Interrupted, Outcome
from jobs.policy import Again, GiveUp, decide, leaf, words
from jobs.registry import ActorSpec
from jobs.rows import Job

logger = logging.getLogger("jobs")

#: What became of an attempt. `waiting` and `released` cost none; `stale` is one whose job somebody else has by now.
Settled = Literal["completed", "retryable", "waiting", "discarded", "cancelled", "released", "stale"]

#: What is said of an attempt whose outcome the row refused.
GIVEN_UP = "given up: another attempt has the job"
#: Seconds between two tries to store an outcome while the database is away.
STORE_AGAIN = 0.5


class Settlement:
    """Stores the outcome of one attempt, ends its live stream if the job has ended, and says what it did."""

    def __init__(
        self,
        desk: Desk,
        spec: ActorSpec,
        claim: Claim,
        *,
        channel: Channel,
        captured: Callable[[], Captured],
        since: float,
    ) -> None:
        """Prepare it.

        Args:
            desk: What the attempts of this process share.
            spec: The actor.
            claim: The right to write.
            channel: The attempt's part of the live stream.
            captured: Gives what the attempt's runs gave.
            since: When the claim was asked for, on the monotonic clock.
        """
        self._desk = desk
        self._spec = spec
        self._claim = claim
        self._channel = channel
        self._captured = captured
        self._since = since

    @property
    def _job(self) -> Job:
        return self._claim.job

    async def settle(self, outcome: Outcome) -> Settled:
        """Store an outcome; while the database is away, wait for it."""
        match outcome:
            case Finished(output, result):
                return await self._complete(output, result)
            case Errored(error):
                return await self._fail(leaf(error), self._trace(error))
            case Interrupted("lost"):
                return await self._cancelled()
            case Interrupted(reason):
                if not await self._write(self._bound(claims.release)):
                    return await self._cancelled()
                self._say(f"put back ({reason})")
                return "released"

    async def _complete(self, output: str | None, result: Any) -> Settled:
        try:
            kept = await self._write(self._bound(claims.complete, output=output, result=result))
        except NotStorable as error:
            return await self._fail(error, None)
        if not kept:
            return await self._cancelled(output)
        await self._desk.live.end(self._channel, "done", {})
        self._say("completed")
        return "completed"

    async def _cancelled(self, output: str | None = None) -> Settled:
        """Keep what there is of a job that is cancelled, perhaps a moment before its actor ended."""
        captured = self._captured()
        if output is not None and not captured.text:
            captured = replace(captured, text=output)
        if not await self._write(partial(claims.keep_partial, held=self._claim, captured=captured)):
            self._say(GIVEN_UP)
            return "stale"
        await self._desk.live.end(self._channel, "cancelled", {})
        self._say("cancelled")
        return "cancelled"

    async def _fail(self, error: BaseException, trace: str | None) -> Settled:
        job = self._job
        verdict = decide(
            error,
            attempt=job.attempt,
            max_attempts=job.max_attempts,
            backoff=self._spec.backoff,
            throws=self._spec.throws,
            jitter=random.random(),  # noqa: S311 - it spreads retries, it hides nothing
            age=((job.started_at or job.created_at) - job.created_at).total_seconds(),
        )
        if not await self._write(self._failure(verdict, error, trace)):
            return await self._cancelled()
        said = {"error": type(error).__name__, "message": redacted(words(error))}
        why = f"{said['error']}: {said['message']}"
        if isinstance(verdict, GiveUp):
            await self._desk.live.end(self._channel, "failed", said)
            self._say(f"discarded, {verdict.reason}: {why}")
            return "discarded"
        self._channel.append("retry", {**said, "delay": verdict.delay})
        await self._desk.live.flush()
        self._say(f"{'failed' if verdict.counts else 'waits'}, again in {verdict.delay:.1f} s: {why}")
        return "retryable" if verdict.counts else "waiting"

    def _failure(
        self, verdict: Again | GiveUp, error: BaseException, trace: str | None
    ) -> Callable[[Connection], bool]:
        again = verdict if isinstance(verdict, Again) else None
        if again is not None and not again.counts:
            why = f"{type(error).__name__}: {redacted(words(error))}"
            return self._bound(claims.wait, delay=again.delay, why=why)
        delay = again.delay if again is not None else None
        reason = redacted(verdict.reason) if isinstance(verdict, GiveUp) else None
        return self._bound(claims.fail, error=error, trace=trace, delay=delay, reason=reason)

    def _bound(self, write: Callable[..., bool], **facts: Any) -> Callable[[Connection], bool]:
        return partial(write, held=self._claim, captured=self._captured(), **facts)

    def _trace(self, error: BaseException) -> str | None:
        # Aquila's own errors say in one line what happened; anybody else's are found by their place.
        if isinstance(leaf(error), AquilaError):
            return None
        job = self._job
        logger.error(
            "job %s %s raised in attempt %d", job.job_id[:8], job.actor_name, job.attempt, exc_info=error
        )
        return "".join(traceback.format_exception(error))

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
