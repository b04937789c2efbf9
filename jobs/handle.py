"""`JobHandle`: what a sender keeps of a job, and what any process can make from its id."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import anyio
from anyio import to_thread

from jobs import rows
from jobs.broker import runtime
from jobs.credentials import redacted
from jobs.errors import BrokerUnavailable, JobCancelled, JobFailed, ResultTimeout
from jobs.live import end_stream, forget_stream
from jobs.relay import hand_over
from jobs.rows import Job
from jobs.tables import State
from jobs.waiting import why_waiting

logger = logging.getLogger("jobs")

#: Seconds between two looks at a row that is waited for: quick at first, for jobs that take no time.
FIRST_LOOK = 0.02
LONGEST_LOOK = 0.5


@dataclass(frozen=True, slots=True)
class JobHandle:
    """One job, by its id. Works in every process that uses the same database."""

    job_id: str
    #: False if the send added nothing, because this older job has the unique key.
    created: bool = field(default=True, compare=False)

    def job(self) -> Job:
        """Read the whole row.

        Raises:
            JobNotFound: There is no such job.
            StorageError: The database failed.
        """
        return runtime().database().read(rows.get, self.job_id)

    def status(self) -> State:
        """Read the job's state.

        Raises:
            JobNotFound: There is no such job.
            StorageError: The database failed.
        """
        return self.job().state

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the job's end and give what the actor returned, as JSON values.

        Args:
            timeout: Seconds to wait; None waits for ever.

        Raises:
            JobFailed: The job was discarded; its stored error is named.
            JobCancelled: The job was cancelled.
            ResultTimeout: The time is up; the job goes on.
            JobNotFound: There is no such job.
            StorageError: The database failed.
        """
        looks = _looks()
        deadline = None if timeout is None else time.monotonic() + timeout
        while not (job := self.job()).ended:
            wait = next(looks)
            if deadline is not None:
                wait = min(wait, deadline - time.monotonic())
                if wait <= 0:
                    raise self._too_late(job, timeout or 0.0)
            time.sleep(wait)
        return _outcome(job)

    def cancel(self, reason: str | None = None) -> bool:
        """Cancel the job, running or not; False if it has ended already. What it had given is kept.

        Args:
            reason: Why, in words; kept in the row.

        Raises:
            JobNotFound: There is no such job.
            StorageError: The database failed.
            ConfigError: No Redis is configured and the embedded one cannot run.
        """
        used = runtime()
        before, cancelled = used.database().write(rows.cancel, self.job_id, _said(reason))
        if not cancelled:
            return False
        try:
            if before.state == "executing":
                # Its worker ends the attempt and the live stream.
                used.wire().tell(f"cancel:{self.job_id}.{before.epoch}")
            else:
                end_stream(used.wire(), before, "cancelled", ttl=used.settings.live_ttl)
        except BrokerUnavailable as error:
            logger.warning(
                "job %s is cancelled; its worker hears of it within a lease: %s", self.job_id, error
            )
        return True

    def retry(self) -> bool:
        """Run the job again: one that has ended, or now one that waits; False if it runs or is due already.

        Raises:
            JobNotFound: There is no such job.
            StorageError: The database failed.
            ConfigError: No Redis is configured and the embedded one cannot run.
        """
        used = runtime()
        job, changed = used.database().write(rows.run_again, self.job_id)
        if changed:
            try:
                forget_stream(used.wire(), job)
            except BrokerUnavailable as error:
                logger.warning("the old live stream of job %s stays: %s", self.job_id, error)
            hand_over(used.database(), used.wire(), [job])
        return changed

    async def astatus(self) -> State:
        """Do as `status` does.

        Raises:
            JobNotFound: There is no such job.
            StorageError: The database failed.
        """
        return await to_thread.run_sync(self.status)

    async def ajob(self) -> Job:
        """Do as `job` does.

        Raises:
            JobNotFound: There is no such job.
            StorageError: The database failed.
        """
        return await to_thread.run_sync(self.job)

    async def aresult(self, timeout: float | None = None) -> Any:  # noqa: ASYNC109 - the same word as in `result`
        """Do as `result` does; no thread is held while it waits.

        Raises:
            JobFailed: The job was discarded; its stored error is named.
            JobCancelled: The job was cancelled.
            ResultTimeout: The time is up; the job goes on.
            JobNotFound: There is no such job.
            StorageError: The database failed.
        """
        with anyio.move_on_after(timeout):
            for wait in _looks():
                if (job := await self.ajob()).ended:
                    return _outcome(job)
                await anyio.sleep(wait)
        if (job := await self.ajob()).ended:
            # It had ended when the time ran out; the look that would have said so was cut off.
            return _outcome(job)
        raise await to_thread.run_sync(self._too_late, job, timeout or 0.0)

    async def acancel(self, reason: str | None = None) -> bool:
        """Do as `cancel` does.

        Raises:
            JobNotFound: There is no such job.
            StorageError: The database failed.
            ConfigError: No Redis is configured and the embedded one cannot run.
        """
        return await to_thread.run_sync(self.cancel, reason)

    async def aretry(self) -> bool:
        """Do as `retry` does.

        Raises:
            JobNotFound: There is no such job.
            StorageError: The database failed.
            ConfigError: No Redis is configured and the embedded one cannot run.
        """
        return await to_thread.run_sync(self.retry)

    def _too_late(self, job: Job, seconds: float) -> ResultTimeout:
        nobody = runtime().database().read(why_waiting, job)
        return ResultTimeout(
            f"job {self.job_id} is {job.state} after {seconds:g} s" + (f": {nobody}" if nobody else ""),
            job_id=self.job_id,
            seconds=seconds,
        )


def _said(reason: str | None) -> str | None:
    return None if reason is None else redacted(str(reason))


def _looks() -> Iterator[float]:
    wait = FIRST_LOOK
    while True:
        yield wait
        wait = min(LONGEST_LOOK, wait * 1.5)


def _outcome(job: Job) -> Any:
    if job.state == "completed":
        return job.result
    last = job.errors[-1] if job.errors else {"error": "", "message": "no reason is stored"}
    if job.state == "cancelled":
        raise JobCancelled(f"job {job.job_id} was cancelled", job_id=job.job_id, error="")
    raise JobFailed(
        f"job {job.job_id} was discarded after {job.attempt} attempt(s): {last['error']}: {last['message']}",
        job_id=job.job_id,
        error=str(last["error"]),
    )
