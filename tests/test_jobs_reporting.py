from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import pytest

from jobs.context import JobContext, running
from jobs.errors import JobsError, StorageError
from jobs.reporting import Report


class Row:
    """Takes progress, or fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self.told: list[Mapping[str, Any]] = []
        self.error = error

    async def take(self, values: Mapping[str, Any]) -> None:
        if self.error is not None:
            raise self.error
        self.told.append(values)


async def test_progress_is_told_once_a_second_and_when_it_must_be() -> None:
    row, now = Row(), [0.0]
    report = Report(clock=lambda: now[0])
    with running(JobContext(id="j", report=row.take)):
        for number in range(10):
            await report.tell(done=number)
            now[0] += 0.25
        await report.tell_now(done=10)
        await report.tell(done=11)

    assert [values["done"] for values in row.told] == [0, 4, 8, 10]


async def test_a_database_that_is_away_fails_no_job(caplog: pytest.LogCaptureFixture) -> None:
    with (
        running(JobContext(id="j7", report=Row(StorageError("away")).take)),
        caplog.at_level(logging.WARNING),
    ):
        await Report().tell(done=1)

    assert "the progress of job j7 is not stored: away" in caplog.text


async def test_an_attempt_that_has_lost_its_job_is_told_so() -> None:
    with running(JobContext(report=Row(JobsError("taken over")).take)), pytest.raises(JobsError):
        await Report().tell(done=1)
