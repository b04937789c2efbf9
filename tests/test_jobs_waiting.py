from __future__ import annotations

from datetime import timedelta

import pytest
from job_actors import add
from job_values import DUE, running_job
from job_workers import working

import jobs
from jobs.broker import runtime
from jobs.claims import WAITS
from jobs.handle import JobHandle
from jobs.rows import Job
from jobs.waiting import own_reason, why_waiting

pytest_plugins = ["job_fixtures"]


def why(handle: JobHandle) -> str | None:
    return runtime().database().read(why_waiting, handle.job())


def soon(**facts: object) -> Job:
    return running_job(scheduled_at=DUE + timedelta(seconds=12), **facts)


@pytest.mark.usefixtures("place")
async def test_a_job_without_a_worker_says_which_one_it_needs() -> None:
    handle = await add.asend(1, 2)

    assert why(handle) == "no worker serves this database; start one with `aquila worker MODULE`"
    async with working(llm=1):
        assert why(handle) == (
            "no worker serves the queue 'default'; start one with `aquila worker MODULE --queues default=10`"
        )


@pytest.mark.usefixtures("place")
async def test_a_paused_queue_is_the_reason_whoever_serves_it() -> None:
    jobs.pause_queue("default")
    handle = await add.asend(1, 2)

    async with working():
        said = why(handle)

    assert said is not None
    assert said.startswith("the queue 'default' is paused since ")
    assert said.endswith("; run `aquila queues resume default`")


@pytest.mark.usefixtures("place")
async def test_a_served_job_says_when_it_is_due_and_an_ended_one_nothing() -> None:
    later, done = add.options(delay=60).send(1, 2), add.send(1, 2)
    async with working():
        await done.aresult(timeout=20)
        said = why(later)

    assert said is not None
    assert said.startswith("it is due at ")
    assert "(in " in said
    assert why(done) is None


def test_what_a_provider_asked_for_is_told_with_its_time() -> None:
    job = soon(state="retryable", metadata={WAITS: "RateLimitError: slow\n down"})

    said = own_reason(job, DUE)

    assert said is not None
    assert said.startswith("RateLimitError: slow down; again at ")
    assert said.endswith(" (in 12 s)")


def test_a_failed_attempt_is_the_reason_for_waiting() -> None:
    errors = [{"attempt": 2, "error": "ValueError", "message": "no luck " * 100}]

    said = own_reason(soon(state="retryable", errors=errors), DUE)

    assert said is not None
    assert said.startswith("attempt 2 failed: ValueError: no luck ")
    assert "…; again at " in said
    assert own_reason(running_job(state="retryable"), DUE) == "an attempt failed; again now"


def test_what_the_row_says_is_the_reason_of_a_job_that_is_offered_again() -> None:
    unknown = "no worker here knows actor 'x'; run `aquila worker MODULE`"

    assert own_reason(soon(state="scheduled", metadata={WAITS: unknown}), DUE) == unknown
    assert own_reason(soon(state="available", metadata={WAITS: unknown}), DUE) == unknown
    assert own_reason(soon(state="available"), DUE) is None
