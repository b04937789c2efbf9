from __future__ import annotations

from pathlib import Path

import anyio
import pytest
from job_actors import add, hold, tell
from job_workers import Valkey, until, until_state, working

import jobs
from aquila.errors import ConfigError
from jobs import queues
from jobs.broker import runtime
from jobs.queues import (
    apause_queue,
    apaused_queues,
    aqueue_counts,
    aresume_queue,
    pause_queue,
    paused_queues,
    queue_counts,
    resume_queue,
)

pytest_plugins = ["job_fixtures"]
pytestmark = pytest.mark.usefixtures("place")


@pytest.mark.parametrize("place", ["sqlite", "postgresql"], indirect=True)
def test_a_queue_is_paused_and_resumed_once() -> None:
    assert [pause_queue("llm"), pause_queue("llm"), pause_queue("another")] == [True, False, True]
    since = queue_counts()["llm"].paused_at
    assert paused_queues() == ["another", "llm"]

    assert not pause_queue("llm")
    assert queue_counts()["llm"].paused_at == since

    assert [resume_queue("llm"), resume_queue("llm"), resume_queue("nobody")] == [True, False, False]
    assert paused_queues() == ["another"]
    assert pause_queue("llm")


async def test_a_paused_queue_starts_nothing_and_the_others_go_on(tmp_path: Path) -> None:
    async with working() as lines:
        assert await apause_queue("default")
        await until(lambda: "queue default is paused" in lines)
        waiting = await add.asend(1, 2)
        other = await tell.asend("hello")
        await until_state(other, "completed", "retryable", "discarded")
        assert await waiting.astatus() == "available"

        assert await aresume_queue("default")
        with anyio.fail_after(2 * queues.LOOK_EVERY):
            assert await waiting.aresult() == 3
        assert "queue default goes on" in lines


async def test_a_job_that_runs_when_its_queue_is_paused_goes_on(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    mark.touch()
    running = hold.send(str(mark))
    async with working() as lines:
        await until_state(running, "executing")
        await apause_queue("default")
        await until(lambda: "queue default is paused" in lines)
        mark.unlink()
        assert await running.aresult(timeout=10) == "attempt 1"
    assert await apaused_queues() == ["default"]


async def test_a_worker_that_starts_begins_nothing_of_a_paused_queue() -> None:
    pause_queue("default")
    waiting = add.send(1, 2)
    async with working() as lines:
        await until(lambda: "queue default is paused" in lines)
        await anyio.sleep(0.3)
    assert waiting.status() == "available"

    resume_queue("default")
    async with working():
        assert await waiting.aresult(timeout=10) == 3


async def test_a_pause_outlives_redis(own_valkey: Valkey) -> None:
    pause_queue("default")
    waiting = add.send(1, 2)
    with own_valkey.client() as client:
        client.flushall()
    async with working() as lines:
        await until(lambda: "queue default is paused" in lines)
        await anyio.sleep(0.3)
        assert waiting.status() == "available"
        resume_queue("default")
        assert await waiting.aresult(timeout=10) == 3


async def test_a_worker_that_hears_no_news_sees_the_row_a_little_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(queues, "LOOK_EVERY", 0.2)
    monkeypatch.setattr(queues, "_tell", len)
    async with working() as lines:
        pause_queue("default")
        await until(lambda: "queue default is paused" in lines)
        resume_queue("default")
        await until(lambda: "queue default goes on" in lines)


def test_a_queue_is_paused_while_redis_is_away(own_valkey: Valkey, caplog: pytest.LogCaptureFixture) -> None:
    own_valkey.stop()

    assert pause_queue("llm")

    assert paused_queues() == ["llm"]
    assert "pause:llm is stored" in caplog.text


@pytest.mark.parametrize("place", ["sqlite", "postgresql"], indirect=True)
async def test_queues_are_counted() -> None:
    assert queue_counts() == {}
    for delay in (0, 0, 60):
        add.options(delay=delay).send(1, 2)
    cancelled = tell.send("hello")
    cancelled.cancel()
    pause_queue("empty")
    async with working(other=3), working(other=4, empty=1):
        counts = await aqueue_counts()

    assert list(counts) == ["default", "empty", "llm", "other"]
    assert counts["default"].states == {"available": 2, "scheduled": 1}
    assert counts["llm"].states == {"cancelled": 1}
    assert (counts["default"].workers, counts["default"].limit, counts["default"].paused_at) == (0, 0, None)
    assert (counts["other"].workers, counts["other"].limit) == (2, 7)
    assert counts["empty"].paused_at is not None


def test_a_limit_for_the_fleet_is_told() -> None:
    jobs.close()
    jobs.configure(global_limits={"default": 2})
    add.send(1, 2)
    tell.send("hello")

    told = {name: counts.to_dict()["global_limit"] for name, counts in queue_counts().items()}

    assert told == {"default": 2, "llm": None}


@pytest.mark.parametrize("name", ["", "1st", "a b", "a:b", "x" * 65])
def test_a_name_that_no_queue_can_have_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="queue name"):
        pause_queue(name)
    with pytest.raises(ConfigError, match="queue name"):
        resume_queue(name)
    assert runtime().database().read(queues.paused_since) == {}
