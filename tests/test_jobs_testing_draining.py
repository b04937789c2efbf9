"""Draining: the due jobs run in the test, on a worker's path."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import dramatiq
import pytest
from job_actors import add, fail_times, leave, refuse, shout, wait_a_moment
from sqlalchemy import Connection, update

import jobs
from aquila.errors import BadRequestError, ConfigError
from jobs import tables
from jobs.broker import runtime
from jobs.testing import Drained, Sandbox, adrain_queue, all_enqueued, drain_queue, sandbox

#: What the actors of this file have done, in order.
DONE: list[str] = []


@jobs.actor(actor_name="drain_note", queue_name="notes")
async def note(what: str) -> None:
    DONE.append(what)


@jobs.actor(actor_name="drain_send_on")
def send_on(depth: int) -> None:
    DONE.append(f"depth {depth}")
    if depth:
        send_on.send(depth - 1)


@pytest.fixture(autouse=True)
def box() -> Iterator[Sandbox]:
    DONE.clear()
    jobs.close()
    with sandbox() as used:
        yield used
    jobs.close()


def test_an_empty_queue_drains_at_once() -> None:
    assert drain_queue() == Drained()


def test_it_counts_what_came_of_the_jobs(tmp_path: Path) -> None:
    add.send(1, 2)
    shout.send("a")
    refuse.send()
    failing = fail_times.send(str(tmp_path / "tries"), 5)

    assert drain_queue() == Drained(completed=2, discarded=1, retryable=1)
    job = failing.job()
    assert (job.state, job.attempt, job.errors[0]["message"]) == ("retryable", 1, "no luck at try 1")


async def test_it_runs_on_the_running_loop() -> None:
    await add.asend(1, 2)
    assert await adrain_queue() == Drained(completed=1)


async def test_without_await_the_loop_stands_still_meanwhile() -> None:
    await add.asend(1, 2)
    assert drain_queue() == Drained(completed=1)


def test_it_keeps_to_a_queue() -> None:
    add.send(1, 2)
    note.send("noted")

    assert drain_queue("notes") == Drained(completed=1)
    assert [job.actor_name for job in all_enqueued()] == ["add"]
    assert drain_queue("nobody's") == Drained()


def test_the_first_priority_goes_first_then_what_is_due_first() -> None:
    note.options(priority=2).send("c")
    for what in ("a1", "a2", "a3"):
        note.send(what)
    note.options(priority=1).send("b")

    drain_queue()

    assert DONE == ["a1", "a2", "a3", "b", "c"]


def test_jobs_that_jobs_send_are_run_too() -> None:
    send_on.send(2)
    assert drain_queue() == Drained(completed=3)
    assert DONE == ["depth 2", "depth 1", "depth 0"]


def test_without_recursion_they_are_not() -> None:
    send_on.send(2)
    assert drain_queue(with_recursion=False) == Drained(completed=1)
    assert DONE == ["depth 2"]


def test_a_limit_ends_it() -> None:
    send_on.send(5)
    assert drain_queue(limit=2) == Drained(completed=2)
    assert len(all_enqueued()) == 1


def test_what_is_scheduled_waits_unless_it_is_asked_for() -> None:
    soon = datetime(2100, 1, 1, tzinfo=UTC)
    note.options(at=soon).send("late")
    note.options(at=soon + timedelta(days=1)).send("later")
    assert drain_queue() == Drained()

    assert drain_queue(with_scheduled=soon + timedelta(hours=1)) == Drained(completed=1)
    assert DONE == ["late"]
    assert drain_queue(with_scheduled=True) == Drained(completed=1)
    assert DONE == ["late", "later"]
    with pytest.raises(ConfigError, match="aware datetime"):
        drain_queue(with_scheduled=datetime(2026, 1, 1))  # noqa: DTZ001 - that is the point


def test_retries_are_run_to_their_end_with_what_is_scheduled(tmp_path: Path) -> None:
    mended = fail_times.send(str(tmp_path / "two"), 2)
    broken = fail_times.send(str(tmp_path / "five"), 5)

    assert drain_queue(with_scheduled=True) == Drained(completed=1, discarded=1)
    assert mended.result() == "done at try 3"
    assert broken.job().attempt == 3


def test_what_waits_for_a_provider_is_tried_once() -> None:
    handle = wait_a_moment.send()

    assert drain_queue(with_scheduled=True) == Drained(retryable=1)
    assert handle.status() == "retryable"


def test_it_raises_what_an_actor_raised_once_it_is_stored() -> None:
    handle = refuse.send()
    note.send("not any more")

    with pytest.raises(BadRequestError, match="the prompt is wrong"):
        drain_queue("default", raising=True)

    assert handle.status() == "discarded"
    assert DONE == []


def test_an_actor_that_leaves_does_not_end_the_test() -> None:
    leave.send()
    assert drain_queue() == Drained(retryable=1)


def test_an_actor_that_was_never_imported_is_named() -> None:
    handle = add.send(1, 2)

    def rename(connection: Connection) -> None:
        connection.execute(update(tables.jobs).values(actor_name="stranger"))

    runtime().database().write(rename)
    with pytest.raises(ConfigError, match=f"job {handle.job_id[:8]} cannot run: no actor 'stranger'"):
        drain_queue()


def test_a_job_cancelled_by_another_is_not_run() -> None:
    doomed = note.options(priority=3).send("never")

    @jobs.actor(actor_name="drain_cancel")
    def cancel(job_id: str) -> None:
        jobs.JobHandle(job_id).cancel()

    cancel.send(doomed.job_id)

    assert drain_queue() == Drained(completed=1)
    assert DONE == []


def test_an_actor_s_timeout_counts() -> None:
    @jobs.actor(actor_name="drain_slow", timeout=0.05, max_attempts=1)
    async def slow() -> None:
        await anyio.sleep(30)

    handle = slow.send()

    assert drain_queue() == Drained(discarded=1)
    assert handle.job().errors[0]["error"] == "JobTimeout"


def test_metadata_and_progress_are_stored() -> None:
    @jobs.actor(actor_name="drain_progress")
    async def report() -> str:
        job = jobs.current()
        await job.progress(step=1)
        return job.id

    handle = report.options(metadata={"asked_by": "anna"}).send()
    drain_queue()

    assert handle.result() == handle.job_id
    assert handle.job().metadata == {"asked_by": "anna", "step": 1}


def test_a_middleware_is_called_around_each_attempt() -> None:
    class Notes(dramatiq.Middleware):
        def before_process_message(self, broker: dramatiq.Broker, message: dramatiq.MessageProxy) -> None:
            DONE.append(f"before {message.actor_name}")

        def after_process_message(
            self,
            broker: dramatiq.Broker,
            message: dramatiq.MessageProxy,
            *,
            result: object = None,
            exception: BaseException | None = None,
        ) -> None:
            DONE.append(f"after {message.actor_name}: {result}")

    with sandbox(middleware=[Notes()]):
        add.send(1, 2)
        drain_queue()

    assert DONE == ["before add", "after add: 3"]


def test_it_wants_a_sandbox(box: Sandbox) -> None:
    box.__exit__(None, None, None)
    with pytest.raises(ConfigError, match="no sandbox is open: use the fixture aquila_jobs"):
        drain_queue()
