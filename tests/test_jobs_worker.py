from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import anyio
import dramatiq
import pytest
from job_actors import Invoice, add, fail_times, hold, hold_a_thread, leave, pay, refuse, shout, wait_a_moment
from job_workers import LEASE, Valkey, until, until_state, working

import jobs
from jobs.broker import runtime
from jobs.errors import JobCancelled, JobFailed, ResultTimeout
from jobs.handle import JobHandle
from jobs.publishing import Announcement
from jobs.registry import ActorSpec, actors

pytest_plugins = ["job_fixtures"]
pytestmark = pytest.mark.usefixtures("place")


async def test_a_job_runs_and_its_row_holds_the_result() -> None:
    handle = await add.asend(1, 2)
    async with working() as lines:
        assert await handle.aresult(timeout=10) == 3

    job = await handle.ajob()
    assert (job.state, job.attempt, job.result, job.output) == ("completed", 1, 3, None)
    assert any(f"{handle.job_id[:8]} add completed" in line for line in lines)


async def test_a_plain_function_runs_in_a_thread() -> None:
    async with working():
        assert await (await shout.asend("hey")).aresult(timeout=10) == "HEY"


async def test_models_travel_through_the_row() -> None:
    invoice = Invoice(number="A1", total=2.5)
    async with working():
        result = await (await pay.asend(invoice, others=[invoice])).aresult(timeout=10)

    assert result == {"number": "A1", "total": 5.0}


async def test_an_idle_worker_starts_a_job_at_once() -> None:
    async with working():
        await anyio.sleep(0.2)
        with anyio.fail_after(0.9):
            assert await (await add.asend(1, 2)).aresult() == 3


async def test_a_failed_attempt_is_made_again(tmp_path: Path) -> None:
    async with working():
        handle = await fail_times.asend(str(tmp_path / "tries"), 2)
        assert await handle.aresult(timeout=10) == "done at try 3"

    job = await handle.ajob()
    assert (job.attempt, job.output) == (3, "done at try 3")
    assert [entry["message"] for entry in job.errors] == ["no luck at try 1", "no luck at try 2"]


async def test_a_job_that_keeps_failing_is_discarded_with_its_error(tmp_path: Path) -> None:
    async with working():
        handle = await fail_times.asend(str(tmp_path / "tries"), 9)
        with pytest.raises(JobFailed, match=r"after 3 attempt.*ValueError: no luck at try 3") as failed:
            await handle.aresult(timeout=10)

    assert failed.value.error == "ValueError"
    assert await handle.astatus() == "discarded"


async def test_an_error_that_no_attempt_cures_ends_the_job_at_once() -> None:
    async with working():
        handle = await refuse.asend()
        with pytest.raises(JobFailed, match="BadRequestError"):
            await handle.aresult(timeout=10)

    assert (await handle.ajob()).attempt == 1


async def test_a_rate_limit_is_waited_out_in_the_row() -> None:
    async with working():
        handle = await wait_a_moment.asend()
        await until_state(handle, "retryable")

    job = await handle.ajob()
    assert job.started_at is not None
    assert 29 < (job.scheduled_at - job.started_at).total_seconds() < 32


async def test_waiting_for_a_rate_limit_costs_no_attempt_and_says_why() -> None:
    async with working():
        handle = await wait_a_moment.asend()
        await until_state(handle, "retryable")

    job = await handle.ajob()
    assert (job.attempt, job.errors) == (0, [])
    assert job.metadata["aquila.waits"] == "RateLimitError: slow down"


async def test_an_attempt_that_takes_longer_than_its_timeout_fails(tmp_path: Path) -> None:
    (tmp_path / "mark").touch()
    async with working():
        handle = await hold.options(timeout=0.2, max_attempts=1).asend(str(tmp_path / "mark"))
        with pytest.raises(
            JobFailed, match=r"JobTimeout: the attempt took longer than its timeout of 0\.2 s"
        ):
            await handle.aresult(timeout=10)

    job = await handle.ajob()
    assert job.reason == "attempt 1 of 1 failed"


async def test_a_plain_function_that_takes_longer_than_its_timeout_fails_too(tmp_path: Path) -> None:
    (tmp_path / "mark").touch()
    async with working():
        handle = await hold_a_thread.options(timeout=0.2, max_attempts=1).asend(str(tmp_path / "mark"))
        with pytest.raises(JobFailed, match="JobTimeout"):
            await handle.aresult(timeout=10)
        (tmp_path / "mark").unlink()


async def test_a_delayed_job_runs_when_it_is_due() -> None:
    async with working():
        handle = await anyio.to_thread.run_sync(lambda: add.options(delay=0.5).send(1, 2))
        assert await handle.astatus() == "scheduled"
        assert await handle.aresult(timeout=10) == 3

    job = await handle.ajob()
    assert job.started_at is not None
    assert (job.started_at - job.created_at).total_seconds() >= 0.5


async def test_jobs_of_a_higher_priority_go_first() -> None:
    handles = [add.options(priority=priority).send(1, priority) for priority in (3, 2, 1, 0)]
    async with working(default=1):
        for handle in handles:
            await handle.aresult(timeout=10)

    rows = [handle.job() for handle in handles]
    assert [job.priority for job in sorted(rows, key=lambda job: str(job.started_at))] == [0, 1, 2, 3]


async def test_a_queue_never_runs_more_jobs_than_its_limit(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    mark.touch()
    handles = [hold.send(str(mark)) for _ in range(4)]
    async with working(default=2):
        await until(lambda: [handle.status() for handle in handles].count("executing") == 2)
        await anyio.sleep(0.3)
        assert [handle.status() for handle in handles].count("executing") == 2
        mark.unlink()
        for handle in handles:
            await handle.aresult(timeout=10)


async def test_a_running_job_can_be_cancelled_and_stops_at_once(tmp_path: Path) -> None:
    (tmp_path / "mark").touch()
    handle = hold.send(str(tmp_path / "mark"))
    async with working() as lines:
        await until_state(handle, "executing")

        assert await handle.acancel()

        await until(lambda: any("cancelled" in line for line in lines), within=4.0)
        with pytest.raises(JobCancelled):
            await handle.aresult(timeout=1)


async def test_a_waiting_job_that_is_cancelled_never_runs() -> None:
    handle = add.send(1, 2)
    assert handle.cancel()

    async with working() as lines:
        await add.send(3, 4).aresult(timeout=10)

    assert not handle.cancel()
    assert handle.status() == "cancelled"
    assert not any(handle.job_id[:8] in line for line in lines)


async def test_an_ended_job_can_be_run_again() -> None:
    handle = refuse.send()
    async with working():
        await until_state(handle, "discarded")
        assert await handle.aretry()
        await until(lambda: len(handle.job().errors) == 2)

    assert (handle.job().attempt, handle.job().max_attempts) == (2, 5)


async def test_a_stopped_worker_puts_its_jobs_back_at_no_cost(tmp_path: Path) -> None:
    (tmp_path / "mark").touch()
    handle = hold.send(str(tmp_path / "mark"))
    async with working() as lines:
        await until_state(handle, "executing")

    assert (handle.job().state, handle.job().attempt) == ("available", 0)
    assert any("put back (shutdown)" in line for line in lines)

    (tmp_path / "mark").unlink()
    async with working():
        assert await handle.aresult(timeout=10) == "attempt 1"


async def test_a_thread_of_a_cancelled_job_is_left_behind(tmp_path: Path) -> None:
    (tmp_path / "mark").touch()
    handle = hold_a_thread.send(str(tmp_path / "mark"))
    async with working() as lines:
        await until_state(handle, "executing")
        await handle.acancel()
        await until(lambda: any("cancelled" in line for line in lines), within=2.0)
    (tmp_path / "mark").unlink()

    assert handle.job().result is None


async def test_an_actor_that_exits_fails_and_the_worker_lives() -> None:
    async with working():
        handle = leave.send()
        await until_state(handle, "retryable")
        assert await add.send(1, 2).aresult(timeout=10) == 3


async def test_a_job_runs_again_only_if_its_lease_is_not_renewed(tmp_path: Path) -> None:
    (tmp_path / "mark").touch()
    handle = hold.send(str(tmp_path / "mark"))
    async with working(), working():
        await until_state(handle, "executing")
        await anyio.sleep(2 * LEASE)
        (tmp_path / "mark").unlink()
        assert await handle.aresult(timeout=10) == "attempt 1"


async def test_an_actor_that_is_unknown_here_waits_for_a_worker_that_knows_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    handle = add.send(1, 2)
    monkeypatch.delitem(actors(), "add")  # type: ignore[arg-type]
    async with working() as lines:
        await until_state(handle, "scheduled")

    assert any("no actor 'add' here" in line for line in lines)
    assert handle.job().attempt == 0


async def test_stored_arguments_that_no_longer_fit_end_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    handle = add.send(1, 2)

    async def add_three(a: int, b: int, c: int) -> int:
        return a + b + c

    spec = actors()["add"]
    facts = {name: getattr(spec, name) for name in ActorSpec.__dataclass_fields__} | {"fn": add_three}
    monkeypatch.setitem(actors(), "add", ActorSpec(**facts))  # type: ignore[arg-type]
    async with working():
        with pytest.raises(JobFailed, match="no longer fit"):
            await handle.aresult(timeout=10)


async def test_waiting_in_vain_says_that_no_worker_is_there() -> None:
    with pytest.raises(ResultTimeout, match="no worker serves this database"):
        await add.send(1, 2).aresult(timeout=0.1)
    async with working(llm=1):
        with pytest.raises(ResultTimeout, match="no worker serves the queue 'default'"):
            add.send(1, 2).result(timeout=0.1)


def test_an_unknown_job_is_named() -> None:
    with pytest.raises(jobs.JobNotFound, match="'nobody'"):
        JobHandle("nobody").status()


async def test_a_flushed_redis_loses_no_job(own_valkey: Valkey) -> None:
    assert runtime().wire().was_emptied()
    handles = [add.send(n, n) for n in range(20)]
    with own_valkey.client() as client:
        client.flushall()

    async with working():
        assert [await handle.aresult(timeout=10) for handle in handles] == [2 * n for n in range(20)]


async def test_a_sent_job_is_kept_while_redis_is_away(own_valkey: Valkey, caplog: Any) -> None:
    add.send(0, 0)
    own_valkey.stop()

    with caplog.at_level(logging.WARNING, "jobs"):
        handle = add.send(1, 2)

    assert "kept, and will be handed over by a worker" in caplog.text
    own_valkey.start()
    async with working():
        assert await handle.aresult(timeout=10) == 3


async def test_a_worker_outlives_redis(own_valkey: Valkey, tmp_path: Path) -> None:
    (tmp_path / "mark").touch()
    held = hold.send(str(tmp_path / "mark"))
    async with working():
        await until_state(held, "executing")
        own_valkey.stop()
        (tmp_path / "mark").unlink()
        assert await held.aresult(timeout=10) == "attempt 1"
        own_valkey.start()
        assert await add.send(1, 2).aresult(timeout=15) == 3


async def test_a_message_that_redis_lost_alone_is_found_missing() -> None:
    wire = runtime().wire()
    assert wire.was_emptied()
    handle = add.send(1, 2)
    for message in wire.fetch("default", 10):
        wire.ack([message])

    async with working():
        assert await handle.aresult(timeout=10) == 3


async def test_a_message_that_a_dead_worker_took_comes_back() -> None:
    handle = add.send(1, 2)
    wire = runtime().wire()
    wire.broker.broker_id = "a worker that dies now"
    assert len(wire.fetch("default", 10)) == 1
    jobs.close()
    jobs.configure(lease=LEASE, grace=0.1)

    async with working():
        assert await handle.aresult(timeout=10) == 3


async def test_handing_a_job_over_twice_leaves_one_message() -> None:
    handle = add.send(1, 2)
    wire = runtime().wire()
    wire.publish([Announcement(handle.job_id, 1, "add", "default", 0)])

    assert len(wire.fetch("default", 10)) == 1


class Watcher(dramatiq.Middleware):
    def __init__(self) -> None:
        self.seen: list[str] = []

    def before_process_message(self, broker: dramatiq.Broker, message: Any) -> None:
        self.seen.append(f"before {message.message_id}")

    def after_process_message(
        self, broker: dramatiq.Broker, message: Any, *, result: Any = None, exception: Any = None
    ) -> None:
        self.seen.append(f"after {message.message_id} {result} {exception!r}")


async def test_a_hosts_middleware_is_told_of_each_attempt() -> None:
    watcher = Watcher()
    jobs.close()
    jobs.configure(lease=LEASE, grace=0.1, middleware=[watcher])
    async with working():
        good, bad = add.send(1, 2), refuse.send()
        await good.aresult(timeout=10)
        await until(lambda: len(watcher.seen) == 4)

    assert f"before {good.job_id}" in watcher.seen
    assert f"after {good.job_id} 3 None" in watcher.seen
    assert any(line.startswith(f"after {bad.job_id} None BadRequestError") for line in watcher.seen)


def test_the_stock_dramatiq_worker_says_what_to_use() -> None:
    actor = runtime().wire().broker.get_actor("add")

    with pytest.raises(RuntimeError, match="run `aquila worker`"):
        actor.fn("x", 1)
