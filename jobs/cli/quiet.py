"""Keeps an outage from filling a worker's log: a warning with the same cause is told once in a while."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

#: Seconds until the same warning is told again.
SILENCE = 30.0


class Quiet(logging.Filter):
    """Drops a warning that names an error which the same kind of warning has named within `SILENCE`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._lock = threading.Lock()
        self._told: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether the record is told."""
        args = record.args if isinstance(record.args, tuple) else ()
        cause = next((str(arg) for arg in args if isinstance(arg, Exception)), None)
        if cause is None or record.levelno != logging.WARNING:
            return True
        with self._lock:
            now = self._clock()
            # What is old enough to be told again need not be remembered.
            self._told = {key: since for key, since in self._told.items() if now - since < SILENCE}
            # The words without the job's id: a hundred jobs that wait for one disk are one piece of news.
            key = (str(record.msg), cause)
            if key in self._told:
                return False
            self._told[key] = now
            return True
