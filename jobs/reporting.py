"""`Report`: a job's progress, not more often than people read it."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from typing import Any

from jobs.context import current
from jobs.errors import StorageError

logger = logging.getLogger("jobs")

#: Seconds between two reports: each of them is a write to the row.
INTERVAL = 1.0


class Report:
    """Tells the progress of the running job. A database that is away does not fail the job: the next report says it all."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due = -math.inf
        self._telling = False

    async def tell(self, **values: Any) -> None:
        """Report, unless that was done a moment ago.

        Args:
            values: JSON values, as they are now.
        """
        if not self._telling and self._clock() >= self._due:
            await self.tell_now(**values)

    async def tell_now(self, **values: Any) -> None:
        """Report in any case: the beginning, and the end.

        Args:
            values: JSON values, as they are now.
        """
        job = current()
        self._due = self._clock() + INTERVAL
        self._telling = True
        try:
            await job.progress(**values)
        except StorageError as error:
            logger.warning("the progress of job %s is not stored: %s", job.id, error)
        finally:
            self._telling = False
