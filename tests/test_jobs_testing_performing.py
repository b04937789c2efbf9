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


@jobs.actor(actor_name="perform_names", queue_name="mail")
def names() -> list[str]:
    return [jobs.current().actor_name, jobs.current().queue_name]


@jobs.actor(actor_name="perform_steps")
async def steps(*called: str) -> list[int]:
    return [await jobs.current().step(name, add.fn, number, 1) for number, name in enumerate(called)]


@jobs.actor(actor_name="perform_step_again")
async def again() -> str:
    try:
        await jobs.current().step("charge", shout.fn, 5)
    except AttributeError:
        return str(await jobs.current().step("charge", shout.fn, "paid"))
    return "the step did not fail"


@jobs.actor(actor_name="perform_progress_with")
async def progress_with(kind: str) -> None:
    kinds: dict[str, object] = {"long": 10**5000, "key": {"api_key": "k"}}
    await jobs.current().progress(seen=kinds[kind])


@jobs.actor(actor_name="perform_long_number")
def long_number() -> int:
    return 10**5000


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


def test_the_actor_sees_its_name_and_its_queue() -> None:
    assert perform_job(names) == ["perform_names", "mail"]


def test_a_step_s_name_is_there_once_in_an_attempt() -> None:
    assert perform_job(steps, "a", "b") == [1, 2]
    assert perform_job(steps, "a", "b") == [1, 2]
    with pytest.raises(ConfigError, match="step 'a' is there twice in one attempt"):
        perform_job(steps, "a", "b", "a")
    with pytest.raises(ConfigError, match="must be a name"):
        perform_job(steps, "")


def test_a_step_that_failed_may_be_tried_again() -> None:
    assert perform_job(again) == "PAID"


def test_json_that_no_row_takes_fails() -> None:
    with pytest.raises(jobs.NotStorable, match="the result of the actor cannot be stored"):
        perform_job(long_number)
    with pytest.raises(jobs.NotStorable, match="progress cannot be stored"):
        perform_job(progress_with, "long")
    with pytest.raises(jobs.NotStorable, match="an argument cannot be stored"):
        perform_job(add, 10**5000, 1)
    with pytest.raises(jobs.NotStorable, match="metadata cannot be stored"):
        perform_job(add, 1, 2, metadata={"n": 10**5000})


def test_a_credential_among_the_progress_fails_as_in_a_worker() -> None:
    with pytest.raises(ConfigError, match="metadata 'seen' holds 'api_key', which belongs into"):
        perform_job(progress_with, "key")


def test_the_actor_s_timeout_counts() -> None:
    with pytest.raises(jobs.JobsError, match=r"longer than its timeout of 0\.05 s"):
        perform_job(slow)


def test_what_is_no_actor_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"what @jobs\.actor made"):
        perform_job(len)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="attempt=0"):
        perform_job(add, 1, 2, attempt=0)
    with pytest.raises(ConfigError, match="attempt='1'"):
        perform_job(add, 1, 2, attempt="1")  # type: ignore[arg-type]
