"""Counts what a client hands over, and notes CPU and lateness while it does."""

from __future__ import annotations

import gc
import statistics
import time


class BrokenClientError(Exception):
    """A client lost text."""


class Tally:
    """Counts the chunks of a run.

    Args:
        window: The chunks, counted over all streams, between which CPU and lateness are taken, so that opening and
            closing stay outside; None takes the whole run.
    """

    def __init__(self, window: tuple[int, int] | None = None) -> None:
        self._first, self._last = window or (0, 0)
        self._count = 0
        self._delays: list[float] = []
        gc.collect()
        self._cpu = -time.process_time()

    @property
    def count(self) -> int:
        """Chunks so far."""
        return self._count

    def each(self, text: str) -> None:
        """Take a piece of the answer; every chunk of the server's begins with its only blank."""
        self._count += text.count(" ")

    def timed(self, text: str) -> None:
        """Take a chunk that says when it was written."""
        self._count += 1
        if self._first < self._count <= self._last:
            self._delays.append(time.monotonic() - float(text))
            if self._count == self._last:
                self._cpu += time.process_time()
        elif self._count == self._first:
            self._cpu = -time.process_time()

    def cpu(self, expected: int, units: int) -> float:
        """End the run and give its CPU in microseconds for each unit of work.

        Args:
            expected: Chunks that must have come.
            units: How many chunks, answers or streams the CPU was for.

        Raises:
            BrokenClientError: Text is missing, or there is too much of it.
        """
        if not self._last:
            self._cpu += time.process_time()
        if self._count != expected:
            raise BrokenClientError(f"{self._count} chunks came instead of {expected}")
        return self._cpu / units * 1e6

    def late(self) -> float:
        """Give the 99th percentile of the time from the server's writing to the client's handing over, in ms."""
        return statistics.quantiles(self._delays, n=100)[98] * 1e3
