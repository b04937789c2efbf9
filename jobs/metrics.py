"""`Metrics`: what a worker tells whoever counts. It counts nothing itself; `jobs.prometheus` does, where it is asked for."""

from __future__ import annotations

from collections.abc import Callable

import anyio

from jobs.claims import Captured
from jobs.ending import Ending
from jobs.rows import Job


class Metrics:
    """Told of every attempt of a worker process. Each method is quick and never fails."""

    def started(self, job: Job) -> None:
        """Take that an attempt begins.

        Args:
            job: The row, as it was claimed.
        """

    def ended(self, job: Job, ending: Ending, seconds: float, captured: Captured) -> None:
        """Take that an attempt has ended; once for each that has begun.

        Args:
            job: The row, as it was claimed.
            ending: How it ended.
            seconds: How long it took.
            captured: What its runs gave.
        """

    def rescued(self, job: Job) -> None:
        """Take that a job was taken back from a worker that died."""

    def watch_live(self, waiting: Callable[[], int]) -> None:
        """Take what tells, from any thread, how many live streams have something to send."""

    async def run(self) -> None:
        """Measure what is measured all the time, until cancelled."""
        await anyio.sleep_forever()

    def close(self) -> None:
        """Stop serving."""
