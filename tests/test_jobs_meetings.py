"""Two things that happen to one job at the same moment."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import anyio
import pytest
from job_actors import add, hold
from job_workers import until_state, working
from sqlalchemy import create_engine, select, update
from sqlalchemy.orm import Session

import jobs
from jobs import claims, rows, steps, unique
from jobs.broker import database_url, runtime
from jobs.claims import Captured, Claim
from jobs.errors import JobFailed
from jobs.live import APPEND, Entry, append_args, forget_stream, stream_key
from jobs.observing import Observation
from jobs.tables import jobs as table
from jobs.tables import steps as steps_table
from jobs.worker import Worker

pytest_plugins = ["job_fixtures"]
pytestmark = pytest.mark.usefixtures("place")
BOTH = ["sqlite", "postgresql"]


@jobs.actor(max_attempts=1)
async def cancel_myself() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await anyio.sleep(1)


async def test_an_actor_that_cancels_its_own_task_fails_and_the_others_go_on(tmp_path: Path) -> None:
    (tmp_path / "mark").touch()
    async with working():
        other = await hold.asend(str(tmp_path / "mark"))
        await until_state(other, "executing")
        with pytest.raises(JobFailed, match="the actor cancelled itself"):
            await (await cancel_myself.asend()).aresult(timeout=20)
        assert await (await add.asend(1, 2)).aresult(timeout=20) == 3
        (tmp_path / "mark").unlink()
        assert await other.aresult(timeout=20) == "attempt 1"


async def test_news_of_a_cancelled_attempt_ends_no_newer_one(tmp_path: Path) -> None:
    (tmp_path / "mark").touch()
    async with working():
        handle = await hold.asend(str(tmp_path / "mark"))
        await until_state(handle, "executing")
        await handle.acancel()
        await handle.aretry()
        await until_state(handle, "executing")
        runtime().wire().tell(f"cancel:{handle.job_id}.1")
        await anyio.sleep(0.3)
        (tmp_path / "mark").unlink()
        assert await handle.aresult(timeout=20) == "attempt 2"


async def test_a_job_cancelled_just_before_its_actor_ends_keeps_its_text() -> None:
    @jobs.actor(actor_name="cancel_then_end")
    async def cancel_then_end() -> str:
        # As if Redis were away: the worker does not hear of it.
        runtime().database().write(rows.cancel, jobs.current().id)
        return "the whole text"

    async with working() as lines:
        handle = await cancel_then_end.asend()
        async with jobs.follow(handle.job_id) as events:
            kinds = [event.type async for event in events]

    assert (handle.job().state, handle.job().output) == ("cancelled", "the whole text")
    assert kinds[-1] == "cancelled"
    assert any("cancelled" in line for line in lines)


@pytest.mark.parametrize("place", BOTH, indirect=True)
def test_an_attempts_end_whose_answer_was_lost_is_no_strangers(place: None) -> None:
    database = runtime().database()

    def fresh() -> Claim:
        handle = add.send(1, 2)
        held = database.write(claims.claim, handle.job_id, 1, "w", 60.0)
        assert held is not None
        return held

    error, captured = ValueError("no"), Captured()
    failed, spent, released, waiting = fresh(), fresh(), fresh(), fresh()
    for _ in range(2):
        assert database.write(claims.fail, failed, error, delay=5.0, captured=captured)
        assert database.write(claims.fail, spent, error, delay=None, captured=captured)
        assert database.write(claims.release, released)
        assert database.write(claims.wait, waiting, delay=5.0, why="busy", captured=captured)
    assert not database.write(claims.fail, released, error, delay=None, captured=captured)
    assert not database.write(claims.release, failed)
    assert len(database.read(rows.get, failed.job.job_id).errors) == 1


@pytest.mark.parametrize("place", ["postgresql"], indirect=True)
def test_a_second_retry_takes_no_steps_from_the_attempt_of_the_first(place: None) -> None:
    database = runtime().database()
    handle = add.send(1, 2)
    held = database.write(claims.claim, handle.job_id, 1, "w", 60.0)
    assert held is not None
    database.write(claims.complete, held, output=None, result=3, captured=Captured())
    with database.engine.connect() as late:
        # It has seen the job completed before the first retry was made.
        assert (
            late.execute(select(table.c.state).where(table.c.id == handle.job_id)).scalar_one() == "completed"
        )
        assert handle.retry()
        again = database.write(claims.claim, handle.job_id, 2, "w", 60.0)
        assert again is not None
        database.write(steps.record, again, "charge", {"paid": True})
        assert not rows.run_again(late, handle.job_id)[1]
        late.commit()

    with database.engine.connect() as reading:
        assert reading.execute(select(steps_table.c.name)).scalars().all() == ["charge"]


def test_a_retry_forgets_no_word_of_the_attempt_it_has_started() -> None:
    wire = runtime().wire()
    job = add.send(1, 2).job()
    APPEND.run(wire.client, append_args(job.job_id, 2, [Entry("attempt", 2, {"attempt": 2})], opens=True))

    forget_stream(wire, job)
    assert wire.client.xlen(stream_key(job.job_id)) == 1

    newer = runtime().database().read(rows.get, job.job_id)
    runtime().database().write(
        lambda connection: connection.execute(update(table).where(table.c.id == newer.job_id).values(epoch=2))
    )
    forget_stream(wire, runtime().database().read(rows.get, job.job_id))
    assert wire.client.xlen(stream_key(job.job_id)) == 0


@pytest.mark.parametrize("place", BOTH, indirect=True)
def test_the_pruner_leaves_a_key_to_the_transaction_that_takes_it(place: None) -> None:
    database = runtime().database()
    old = add.options(unique="k").send(1, 2)
    old.cancel()
    if not database.locks_rows:
        assert database.write(unique.prune_keys) == 1
        return
    engine = create_engine(database_url())
    with Session(engine) as session:
        jobs.enqueue(session, add.options(unique="k").message(3, 4))
        assert database.write(unique.prune_keys) == 0
        session.commit()
    engine.dispose()

    assert database.write(unique.prune_keys) == 0
    assert not add.options(unique="k").send(5, 6).created


async def test_an_observer_that_fails_costs_no_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("a broken exporter")

    async with working():
        monkeypatch.setattr(Observation, "end", Observation.end)
        monkeypatch.setattr("jobs.metrics.Metrics.started", fail)
        monkeypatch.setattr("jobs.metrics.Metrics.ended", fail)
        assert await (await add.asend(1, 2)).aresult(timeout=20) == 3


def test_a_worker_works_once() -> None:
    worker = Worker(runtime(), announce=lambda _: None)
    worker.start()
    assert add.send(1, 2).result(timeout=20) == 3
    with pytest.raises(RuntimeError, match="make another Worker"):
        worker.start()
    worker.stop()
    worker.join()

    second = Worker(runtime(), announce=lambda _: None)
    second.start()
    assert add.send(3, 4).result(timeout=20) == 7
    second.stop()
