"""`Observation`: one attempt as the spans and the metrics see it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self

from jobs.claims import Captured
from jobs.ending import Ending
from jobs.metrics import Metrics
from jobs.rows import Job
from jobs.tracing import AttemptSpan, tracing_attempt

logger = logging.getLogger("jobs")


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
        # A host's exporter that fails must not cost the job its attempt.
        with _harmless():
            self._metrics.started(self._job)
            self._span.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.end("abandoned")
        with _harmless():
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
        seconds = self._clock() - self._began
        with _harmless():
            self._span.end(ending, error)
        with _harmless():
            self._metrics.ended(self._job, ending, seconds, self._captured())


@contextmanager
def _harmless() -> Iterator[None]:
    try:
        yield
    except Exception:
        logger.exception("an attempt could not be observed")
