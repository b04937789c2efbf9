from __future__ import annotations

from pathlib import Path

import anyio
import pytest
from job_actors import add, fail_times, hold
from job_postgres import Postgres
from job_workers import OUTAGE_LEASE, Valkey, WorkerProcess, until, until_state, working

from jobs.errors import JobCancelled, StorageError
from jobs.handle import JobHandle

pytest_plugins = ["job_fixtures"]

on_postgresql = pytest.mark.parametrize("place", ["postgresql"], indirect=True)


@on_postgresql
async def test_a_job_runs_and_a_failed_attempt_is_made_again(place: None, tmp_path: Path) -> None:
    async with working() as lines:
        good, again = await add.asend(1, 2), await fail_times.asend(str(tmp_path / "tries"), 2)
        assert await good.aresult(timeout=20) == 3
        assert await again.aresult(timeout=20) == "done at try 3"

    job = await again.ajob()
    assert (job.state, job.attempt, job.output) == ("completed", 3, "done at try 3")
    assert [entry["message"] for entry in job.errors] == ["no luck at try 1", "no luck at try 2"]
    assert "postgresql" in lines[0]


@on_postgresql
async def test_a_running_job_is_cancelled(place: None, tmp_path: Path) -> None:
    (tmp_path / "mark").touch()
    handle = await hold.asend(str(tmp_path / "mark"))
    async with working() as lines:
        await until_state(handle, "executing")

        assert await handle.acancel()

        await until(lambda: any("cancelled" in line for line in lines))
        with pytest.raises(JobCancelled):
            await handle.aresult(timeout=5)
    assert "attempt 1" in (await handle.ajob()).metadata


@on_postgresql
async def test_two_workers_share_the_jobs_and_each_job_runs_once(place: None, tmp_path: Path) -> None:
    handles = [fail_times.send(str(tmp_path / str(number)), 0) for number in range(30)]
    async with working(default=4) as first, working(default=4) as second:
        for handle in handles:
            assert await handle.aresult(timeout=20) == "done at try 1"

    for lines in (first, second):
        assert any("completed" in line for line in lines)


@on_postgresql
async def test_the_job_of_a_dead_worker_runs_again_in_another(place: None, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    mark.touch()
    handle = hold.send(str(mark))
    with WorkerProcess(tmp_path / "one") as worker:
        await until_state(handle, "executing")
        worker.kill()
        mark.unlink()
        async with working():
            assert await handle.aresult(timeout=20) == "attempt 2"

    assert [entry["error"] for entry in handle.job().errors] == ["WorkerDied"]


@on_postgresql
async def test_a_flushed_redis_loses_no_job(place: None, own_valkey: Valkey) -> None:
    handles = [add.send(n, n) for n in range(20)]
    with own_valkey.client() as client:
        client.flushall()

    async with working():
        assert [await handle.aresult(timeout=20) for handle in handles] == [2 * n for n in range(20)]


async def test_a_result_waits_for_a_server_that_crashed_and_is_stored_once(
    own_postgres: Postgres, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    mark.touch()
    handle = hold.send(str(mark))
    async with working() as lines:
        await until_state(handle, "executing")
        own_postgres.kill()
        mark.unlink()
        await anyio.sleep(OUTAGE_LEASE / 8)
        own_postgres.start()
        assert await patient_result(handle) == "attempt 1"
        assert await add.send(1, 2).aresult(timeout=20) == 3

    assert sum("completed" in line for line in lines) == 2
    assert handle.job().epoch == 1


async def test_an_outage_that_is_longer_than_the_lease_costs_no_attempt(
    own_postgres: Postgres, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    mark.touch()
    handle = hold.send(str(mark))
    async with working():
        await until_state(handle, "executing")
        own_postgres.kill()
        await anyio.sleep(2 * OUTAGE_LEASE)
        own_postgres.start()
        mark.unlink()
        assert await patient_result(handle) == "attempt 1"

    job = handle.job()
    assert (job.attempt, job.errors) == (1, [])
    assert job.epoch == 2


async def patient_result(handle: JobHandle) -> object:
    """The result, as soon as the database is there again."""
    with anyio.fail_after(20):
        while True:
            try:
                return await handle.aresult(timeout=20)
            except StorageError:
                await anyio.sleep(0.1)


async def test_a_server_that_hangs_kills_no_worker_and_costs_no_attempt(
    own_postgres: Postgres, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    mark.touch()
    handle = hold.send(str(mark))
    async with working() as lines, working():
        await until_state(handle, "executing")
        own_postgres.pause()
        await anyio.sleep(2 * OUTAGE_LEASE)
        own_postgres.go_on()
        mark.unlink()
        assert await patient_result(handle) == "attempt 1"

    job = handle.job()
    assert (job.attempt, job.errors) == (1, []), lines
