"""`Observation`: one attempt as the spans and the metrics see it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Self

from jobs.claims import Captured
from jobs.ending import Ending
from jobs.metrics import Metrics
from jobs.rows import Job
from jobs.tracing import AttemptSpan, tracing_attempt


class Observation:
    """To be entered around an attempt; its span is current inside the block."""

    def __init__(
        self,
        job: Job,
        metrics: Metrics,
        captured: Callable[[], Captured],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare the observation.

        Args:
            job: The row, as it was claimed.
            metrics: The worker's.
            captured: Gives what the attempt's runs gave so far.
            clock: Seconds that only go forward.
        """
        self._job = job
        self._metrics = metrics
        self._captured = captured
        self._clock = clock
        self._span: AttemptSpan = tracing_attempt(job)
        self._ended = False

    def __enter__(self) -> Self:
        self._began = self._clock()
        self._metrics.started(self._job)
        self._span.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.end("abandoned")
        self._span.__exit__()

    def end(self, ending: Ending, error: BaseException | None = None) -> None:
        """Say how the attempt ended; every call but the first changes nothing. Leaving the block without one abandons it.

        Args:
            ending: How it ended.
            error: What it failed with.
        """
        if self._ended:
            return
        self._ended = True
        self._span.end(ending, error)
        seconds = self._clock() - self._began
        self._metrics.ended(self._job, ending, seconds, self._captured())
