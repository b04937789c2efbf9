"""Real worker processes, killed, paused and stopped in the middle of a stream."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from job_actors import hold, hold_a_thread, tell
from job_workers import COMMAND, LEASE, WorkerProcess, until, until_state
from wire import DONE, Connection, delta, serve, usage

import jobs
from jobs.broker import runtime
from jobs.follower import JobEvent
from jobs.live import stream_key
from jobs.tail import parse_record

pytest_plugins = ["job_fixtures"]
pytestmark = pytest.mark.usefixtures("place")


class Model:
    """Says ten words; the first requests stop in the middle until they are let go."""

    def __init__(self) -> None:
        self.hold_first = 1
        self.go = anyio.Event()

    async def handler(self, connection: Connection) -> None:
        connection.start()
        waits, self.hold_first = self.hold_first > 0, self.hold_first - 1
        for number in range(10):
            if waits and number == 5:
                await self.go.wait()
            connection.send(delta(f"{number} "))
        for chunk in (delta(finish="stop"), usage(3, 10), DONE):
            connection.send(chunk)
        connection.end()


WORDS = "0 1 2 3 4 5 6 7 8 9 "


@pytest.fixture
async def model(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Model]:
    it = Model()
    async with serve(it.handler) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        yield it


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "work"
    path.mkdir()
    return path


class Reader:
    """Follows a job in the background, keeping the text of the present attempt as a page would."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        self.events: list[JobEvent] = []
        self.text = ""

    async def run(self) -> None:
        async with jobs.follow(self.job_id) as events:
            async for event in events:
                self.events.append(event)
                self.text = "" if event.type == "attempt" else self.text + event.text


async def test_a_job_whose_worker_is_killed_in_mid_stream_finishes_after_a_restart(
    model: Model, folder: Path
) -> None:
    handle = await tell.asend("count")
    reader = Reader(handle.job_id)
    async with anyio.create_task_group() as group:
        group.start_soon(reader.run)
        with WorkerProcess(folder) as first:
            await until(lambda: reader.text == "0 1 2 3 4 ")
            first.kill()
        with WorkerProcess(folder) as second:
            assert await handle.aresult(timeout=20) == WORDS
            await until(lambda: "tell completed" in second.said)
    job = await handle.ajob()

    assert (job.state, job.attempt, job.output) == ("completed", 2, WORDS)
    assert job.errors[0]["error"] == "WorkerDied"
    assert [event.attempt for event in reader.events if event.type == "attempt"] == [1, 2]
    assert reader.text == WORDS
    assert [event.type for event in reader.events if event.ends] == ["done"]


async def test_a_stopped_worker_gives_its_job_back_without_burning_an_attempt(
    model: Model, folder: Path
) -> None:
    handle = await tell.asend("count")
    reader = Reader(handle.job_id)
    async with anyio.create_task_group() as group:
        group.start_soon(reader.run)
        with WorkerProcess(folder) as first:
            await until(lambda: reader.text == "0 1 2 3 4 ")
            first.signal(signal.SIGTERM)
            await first.gone()
            assert first.process.returncode == 0
            assert "put back (shutdown)" in first.said
            assert "worker stopped" in first.said
        assert (await handle.ajob()).attempt == 0
        with WorkerProcess(folder):
            assert await handle.aresult(timeout=20) == WORDS

    assert (await handle.ajob()).attempt == 1
    assert (await handle.ajob()).errors == []
    assert reader.text == WORDS


async def test_a_worker_that_was_paused_beyond_its_lease_writes_nothing(model: Model, folder: Path) -> None:
    handle = await tell.asend("count")
    reader = Reader(handle.job_id)
    async with anyio.create_task_group() as group:
        group.start_soon(reader.run)
        with WorkerProcess(folder) as paused:
            await until(lambda: reader.text == "0 1 2 3 4 ")
            paused.signal(signal.SIGSTOP)
            model.hold_first = 1
            with WorkerProcess(folder) as other:
                await until(lambda: len(reader.events) > 3 and reader.events[-1].attempt == 2)
                await until(lambda: reader.text == "0 1 2 3 4 ")
                # Both have the rest of the answer in their sockets now, the stale one first.
                model.go.set()
                paused.signal(signal.SIGCONT)
                await anyio.sleep(LEASE)
                assert await handle.aresult(timeout=20) == WORDS
                await until(lambda: "another attempt has the job" in paused.said)
                assert "tell completed" in other.said
    job = await handle.ajob()

    assert (job.attempt, job.output) == (2, WORDS)
    entries: list[Any] = runtime().wire().client.xrange(stream_key(handle.job_id))
    attempts = [parse_record(key, fields).attempt for key, fields in entries]
    assert attempts == sorted(attempts)
    assert reader.text == WORDS


async def test_a_job_that_kills_every_worker_is_given_up(model: Model, folder: Path) -> None:
    model.hold_first = 9
    handle = tell.options(max_attempts=2).send("count")
    for attempt in (1, 2):
        with WorkerProcess(folder) as worker:
            await until(lambda: handle.job().attempt == attempt and handle.status() == "executing")  # noqa: B023
            worker.kill()
    with WorkerProcess(folder):
        with pytest.raises(jobs.JobFailed, match="the worker died 2 times"):
            await handle.aresult(timeout=20)
        reader = Reader(handle.job_id)
        await reader.run()

    assert reader.events[-1].type == "failed"


async def test_the_other_worker_takes_over_within_a_lease_and_a_bit(model: Model, folder: Path) -> None:
    with WorkerProcess(folder) as first:
        await first.ready()
        handle = await tell.asend("count")
        await until_state(handle, "executing")
        with WorkerProcess(folder) as second:
            await second.ready()
            first.kill()
            with anyio.fail_after(LEASE + 2.0):
                assert await handle.aresult() == WORDS


async def test_a_stopping_worker_does_not_wait_for_a_thread_that_goes_on(folder: Path) -> None:
    mark = folder / "mark"
    mark.touch()
    handle = hold_a_thread.send(str(mark))
    with WorkerProcess(folder) as worker:
        await until_state(handle, "executing")
        worker.signal(signal.SIGTERM)
        await worker.gone()

        assert worker.process.returncode == 0
        assert (handle.job().state, handle.job().attempt) == ("available", 0)


async def test_a_second_signal_takes_the_grace_period_away(folder: Path) -> None:
    (folder / "mark").touch()
    handle = hold.send(str(folder / "mark"))
    with WorkerProcess(folder, "--grace", "50") as worker:
        await until_state(handle, "executing")
        worker.signal(signal.SIGINT)
        await until(lambda: "stopping: 1 running" in worker.said)
        worker.signal(signal.SIGINT)
        await worker.gone()

    assert handle.status() == "available"


async def test_another_process_follows_the_tokens_in_its_terminal(model: Model, folder: Path) -> None:
    handle = await tell.asend("count")
    command = [*COMMAND, "jobs", "follow", handle.job_id[:12]]
    with WorkerProcess(folder):
        async with await anyio.open_process(command, stderr=None) as reader:
            assert reader.stdout is not None
            said = b""
            async for part in reader.stdout:
                said += part
                if said == b"0 1 2 3 4 ":
                    assert await handle.astatus() == "executing"
                    model.go.set()

    assert model.go.is_set()
    assert said == WORDS.encode() + b"\n"
    assert reader.returncode == 0


async def test_two_workers_never_run_a_job_twice(folder: Path, model: Model) -> None:
    model.hold_first = 0
    handles = [tell.send(f"count {n}") for n in range(30)]
    with WorkerProcess(folder), WorkerProcess(folder):
        for handle in handles:
            assert await handle.aresult(timeout=30) == WORDS

    assert {handle.job().attempt for handle in handles} == {1}
