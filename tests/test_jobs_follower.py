from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from job_actors import add, fail_times, hold, tell, tell_without_a_word
from job_workers import Valkey, until_state, working
from wire import DONE, Connection, answer, delta, serve, usage

import aquila
import jobs
from aquila.errors import ConfigError
from jobs.broker import runtime
from jobs.follower import JobEvent
from jobs.live import stream_key

pytest_plugins = ["job_fixtures"]
pytestmark = pytest.mark.usefixtures("place")


@jobs.actor(queue_name="llm")
async def tell_twice_at_once() -> None:
    async with anyio.create_task_group() as group:
        for _ in range(2):
            group.start_soon(partial(aquila.ask, "hello", model="m", retry=0))


async def followed(job_id: str, *, after: str | None = None) -> list[JobEvent]:
    with anyio.fail_after(20):
        async with jobs.follow(job_id, after=after) as events:
            return [event async for event in events]


def text(events: list[JobEvent]) -> str:
    return "".join(event.text for event in events)


@pytest.fixture
async def model(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A model that says `a b c`, and waits before `c` until it may."""
    go = anyio.Event()

    async def handler(connection: Connection) -> None:
        connection.start()
        connection.send(delta("a "))
        connection.send(delta("b "))
        await go.wait()
        for chunk in (delta("c"), delta(finish="stop"), usage(7, 3), DONE):
            connection.send(chunk)
        connection.end()

    async with serve(handler) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        yield go


async def test_the_tokens_of_a_running_job_are_seen_before_it_ends(model: anyio.Event) -> None:
    seen: list[JobEvent] = []
    async with working():
        handle = await tell.asend("hello")
        with anyio.fail_after(20):
            async for event in jobs.follow(handle.job_id):
                seen.append(event)
                if text(seen) == "a b " and not model.is_set():
                    assert await handle.astatus() == "executing"
                    model.set()

    assert text(seen) == "a b c"
    assert [event.type for event in seen if event.type != "chunk"][:2] == ["attempt", "run_started"]
    assert [event.type for event in seen if event.ends] == ["done"]
    assert seen[-1].data["output"] == seen[-1].output == "a b c"
    assert seen[-1].data["usage"] == {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}


async def test_the_row_keeps_what_the_runs_gave(model: anyio.Event) -> None:
    model.set()
    async with working():
        handle = await tell.asend("hello")
        assert await handle.aresult(timeout=10) == "a b c"

    job = await handle.ajob()
    assert (job.output, job.model, job.finish_reason) == ("a b c", "m-2026", "stop")
    assert job.usage == {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
    assert job.time_to_first_chunk is not None
    assert 0 < job.time_to_first_chunk < 5


async def test_an_actor_that_returns_nothing_has_its_stream_as_output(model: anyio.Event) -> None:
    model.set()
    async with working():
        handle = await tell_without_a_word.asend()
        assert await handle.aresult(timeout=10) is None

    assert (await handle.ajob()).output == "a b c"


async def test_a_reader_that_left_goes_on_where_it_was(model: anyio.Event) -> None:
    async with working():
        handle = await tell.asend("hello")
        first: list[JobEvent] = []
        async with jobs.follow(handle.job_id) as events:
            async for event in events:
                first.append(event)
                if event.text:
                    break
        model.set()

        rest = await followed(handle.job_id, after=first[-1].cursor)

    assert text(first) + text(rest) == "a b c"
    assert rest[-1].output == "a b c"


async def test_a_late_reader_gets_everything_and_an_expired_stream_still_ends(model: anyio.Event) -> None:
    model.set()
    async with working():
        handle = await tell.asend("hello")
        await handle.aresult(timeout=10)
    await anyio.sleep(0.1)

    assert text(await followed(handle.job_id)) == "a b c"
    runtime().wire().client.delete(stream_key(handle.job_id))
    assert [(event.type, event.output) for event in await followed(handle.job_id)] == [("done", "a b c")]


async def test_a_stream_lost_in_the_middle_is_said_again_from_its_start(
    model: anyio.Event, own_valkey: Valkey
) -> None:
    async with working():
        handle = await tell.asend("hello")
        async with jobs.follow(handle.job_id) as events:
            async for event in events:
                if event.text:
                    break
        with own_valkey.client() as client:
            client.flushall()
        model.set()
        seen = await followed(handle.job_id)

    assert (seen[-1].type, seen[-1].output) == ("done", "a b c")
    assert text(seen) == "a b c"


async def test_a_cancelled_job_keeps_what_came_and_its_readers_are_told(model: anyio.Event) -> None:
    async with working():
        handle = await tell.asend("hello")
        seen: list[JobEvent] = []
        with anyio.fail_after(10):
            async for event in jobs.follow(handle.job_id):
                seen.append(event)
                if text(seen) == "a b " and not event.ends:
                    await handle.acancel()

    assert seen[-1].type == "cancelled"
    assert (await handle.ajob()).output == "a b "


async def test_attempts_and_the_reason_of_a_retry_are_told(tmp_path: Path) -> None:
    async with working():
        handle = await fail_times.asend(str(tmp_path / "tries"), 1)
        seen = await followed(handle.job_id)

    assert [(event.type, event.attempt) for event in seen] == [
        ("attempt", 1),
        ("retry", 1),
        ("attempt", 2),
        ("done", 2),
    ]
    assert seen[1].data["error"] == "ValueError"


async def test_progress_is_streamed_and_stored(tmp_path: Path) -> None:
    async with working():
        handle = await hold.asend(str(tmp_path / "nothing"))
        seen = await followed(handle.job_id)

    assert ("status", {"name": "progress", "data": {"attempt 1": "began"}}) in [
        (event.type, event.data) for event in seen
    ]
    assert (await handle.ajob()).metadata == {"attempt 1": "began"}


async def test_the_end_of_a_job_is_told_once_to_all_its_readers() -> None:
    handle = await add.asend(1, 2)
    ends: list[JobEvent] = []

    async def read() -> None:
        ends.extend(event for event in await followed(handle.job_id) if event.ends)

    async with working(), anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(read)

    assert [event.type for event in ends] == ["done"] * 5
    stream = runtime().wire().client.xrange(stream_key(handle.job_id))
    assert [kind for _, fields in stream for kind in fields if kind in {b"done", b"failed"}] == [b"done"]


async def test_a_waiting_job_that_is_cancelled_ends_its_readers() -> None:
    handle = await add.asend(1, 2)
    async with anyio.create_task_group() as group:
        group.start_soon(handle.acancel)
        assert [event.type for event in await followed(handle.job_id)] == ["cancelled"]


async def test_without_redis_the_row_still_says_how_it_ended(own_valkey: Valkey) -> None:
    async with working():
        handle = await add.asend(1, 2)
        await until_state(handle, "completed")
    own_valkey.stop()

    assert [event.type for event in await followed(handle.job_id)] == ["done"]


async def test_a_job_that_runs_again_is_followed_anew(tmp_path: Path) -> None:
    async with working():
        handle = await fail_times.asend(str(tmp_path / "tries"), 3)
        assert [event.type for event in await followed(handle.job_id)][-1] == "failed"
        assert await handle.aretry()

        seen = await followed(handle.job_id)

    assert [event.type for event in seen] == ["attempt", "done"]


async def test_an_unknown_job_cannot_be_followed() -> None:
    with pytest.raises(jobs.JobNotFound):
        await followed("nobody")


async def test_a_streamed_prompt_and_a_summary_are_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    async def handler(connection: Connection) -> None:
        asked.append(json.loads(connection.body))
        connection.play(answer("Short ", "and good."))

    async with serve(handler) as server, working():
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        prompt = await jobs.stream_prompt.asend("Say it", model="m")
        assert await prompt.aresult(timeout=10) == "Short and good."
        summary = await jobs.generate_summary.asend("A long document.", "doc-1", model="m")
        assert await summary.aresult(timeout=10) == "Short and good."
        seen = await followed(summary.job_id)

    assert asked[0]["messages"][-1]["content"] == "Say it"
    assert asked[1]["messages"][0]["content"] == "Write a concise executive summary."
    assert "A long document." in asked[1]["messages"][-1]["content"]
    started = next(event for event in seen if event.type == "run_started")
    assert started.data["meta"] == {"job_id": summary.job_id, "document_id": "doc-1"}
    assert (await summary.ajob()).cassette == "jobs/generate_summary"


async def test_the_runs_of_an_actor_are_told_apart(model: anyio.Event) -> None:
    model.set()
    async with working():
        handle = await tell_twice_at_once.asend()
        await handle.aresult(timeout=20)
        seen = await followed(handle.job_id)

    refs = [event.run for event in seen if event.type == "run_started"]
    assert len(set(refs)) == 2
    for ref in refs:
        assert text([event for event in seen if event.run == ref]) == "a b c"
    assert text(seen) == seen[-1].output
    assert (seen[0].type, seen[0].run, seen[-1].run) == ("attempt", None, None)


async def test_a_reader_that_was_cancelled_reads_on(model: anyio.Event) -> None:
    async with working():
        handle = await tell.asend("hello")
        seen: list[JobEvent] = []
        async with jobs.follow(handle.job_id) as events:
            while text(seen) != "a b ":
                seen.append(await anext(events))
            with anyio.move_on_after(0.05) as scope:
                await anext(events)
            assert scope.cancelled_caught
            model.set()
            seen += [event async for event in events]

    assert text(seen) == "a b c"
    assert seen[-1].output == "a b c"


async def test_events_can_be_read_in_batches(model: anyio.Event) -> None:
    model.set()
    async with working():
        handle = await tell.asend("hello")
        await handle.aresult(timeout=20)
        batches: list[list[JobEvent]] = []
        async with jobs.follow(handle.job_id) as events:
            while batch := await events.read_events():
                batches.append(batch)
            assert await events.read_events() == []

    assert text([event for batch in batches for event in batch]) == "a b c"
    assert batches[-1][-1].ends


async def test_a_reader_behind_the_end_is_told_the_end_again() -> None:
    async with working():
        handle = await add.asend(1, 2)
        last = (await followed(handle.job_id))[-1]

    again = await followed(handle.job_id, after=last.cursor)

    assert [(event.type, event.cursor) for event in again] == [("done", last.cursor)]


@pytest.mark.parametrize("after", ["yesterday", "1-2-3", "$", "-1", "1 "])
def test_what_is_no_cursor_is_refused_with_its_value(after: str) -> None:
    with pytest.raises(ConfigError, match="is no cursor"):
        jobs.follow("any", after=after)
