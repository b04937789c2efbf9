"""An actor run as a job, with no row."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import anyio
import pytest
from job_actors import Invoice, add, pay, refuse, shout

import jobs
from aquila.errors import BadRequestError, ConfigError
from jobs.testing import aperform_job, perform_job


@jobs.actor(actor_name="perform_context")
async def context() -> list[object]:
    job = jobs.current()
    await job.progress(step=1)
    return [bool(job.id), job.attempt, dict(job.metadata), job.cassette]


@jobs.actor(actor_name="perform_slow", timeout=0.05)
async def slow() -> None:
    await anyio.sleep(30)


@jobs.actor(actor_name="perform_progress")
async def progress_of_a_set() -> None:
    await jobs.current().progress(seen={1, 2})


def test_a_sync_test_performs_both_kinds() -> None:
    assert perform_job(add, 1, b=2) == 3
    assert perform_job(shout, "a") == "A"


async def test_an_async_test_performs_both_kinds() -> None:
    assert await aperform_job(add, 1, b=2) == 3
    assert await aperform_job(shout, "a") == "A"
    assert perform_job(add, 1, b=2) == 3


def test_arguments_are_those_that_a_worker_would_make() -> None:
    assert perform_job(pay, {"number": "1", "total": "2.5"}, others=[Invoice(number="2", total=1.0)]) == {
        "number": "1",
        "total": 3.5,
    }


def test_the_argument_that_no_row_can_hold_is_named() -> None:
    with pytest.raises(ConfigError, match=r"argument 'word' of shout\(\) is of type datetime"):
        perform_job(shout, datetime(2026, 1, 1, tzinfo=UTC))
    with pytest.raises(TypeError, match="missing a required argument: 'b'"):
        perform_job(add, 1)


def test_it_raises_what_the_actor_raises() -> None:
    with pytest.raises(BadRequestError, match="the prompt is wrong"):
        perform_job(refuse)


def test_the_actor_sees_a_job() -> None:
    assert perform_job(context) == [True, 1, {}, None]
    assert perform_job(context, metadata={"by": "anna"}, attempt=3) == [True, 3, {"by": "anna"}, None]
    assert jobs.current().id == ""


def test_progress_that_could_not_be_stored_fails() -> None:
    with pytest.raises(ConfigError, match="is of type set"):
        perform_job(progress_of_a_set)


def test_a_result_that_could_not_be_stored_fails() -> None:
    @jobs.actor(actor_name="perform_lock")
    def lock() -> object:
        return threading.Lock()

    with pytest.raises(ConfigError, match="the result of the actor is of type lock"):
        perform_job(lock)


def test_the_actor_s_timeout_counts() -> None:
    with pytest.raises(jobs.JobsError, match=r"longer than its timeout of 0\.05 s"):
        perform_job(slow)


def test_what_is_no_actor_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"what @jobs\.actor made"):
        perform_job(len)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="attempt=0"):
        perform_job(add, 1, 2, attempt=0)
