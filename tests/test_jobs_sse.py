from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from job_actors import add
from job_workers import Valkey, until, working
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount

import jobs.web
from jobs import claims, rows
from jobs.broker import runtime
from jobs.claims import Captured, Claim
from jobs.follower import JobEvent
from jobs.live import APPEND, Entry, append_args, stream_key
from jobs.redis_client import connect_async
from jobs.web.event_text import event_text

pytest_plugins = ["job_fixtures"]
pytestmark = pytest.mark.usefixtures("place")


class Call:
    """One request of a client that reads what it is sent, by the ASGI protocol."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.body = b""
        self.over = False
        self.left = anyio.Event()
        self.ended = anyio.Event()
        self.stalled: anyio.Event | None = None

    async def receive(self) -> dict[str, Any]:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        if self.stalled is not None:
            await self.stalled.wait()
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], dict(message["headers"])
        else:
            self.body += message.get("body", b"")
            self.over = not message.get("more_body", False)

    @property
    def events(self) -> list[dict[str, str]]:
        blocks = [block for block in self.body.decode().split("\n\n") if block.startswith("id:")]
        return [dict(line.split(": ", 1) for line in block.split("\n")) for block in blocks]

    @property
    def text(self) -> str:
        return "".join(
            json.loads(event["data"])["text"] for event in self.events if event["event"] == "chunk"
        )


def scope_of(method: str, path: str, last: str | None = None) -> dict[str, Any]:
    path, _, query = path.partition("?")
    headers = [] if last is None else [(b"last-event-id", last.encode())]
    base = {"type": "http", "method": method, "path": path, "query_string": query.encode()}
    return {**base, "headers": headers, "root_path": "", "scheme": "http", "http_version": "1.1"}


@asynccontextmanager
async def asking(
    path: str, *, app: Any = None, method: str = "GET", last: str | None = None
) -> AsyncIterator[Call]:
    """Ask while the block runs; the client leaves at its end, and the server has to notice at once."""
    call = Call()
    scope = scope_of(method, path, last)

    async def serve() -> None:
        await (app or jobs.web.app())(scope, call.receive, call.send)
        call.ended.set()

    async with anyio.create_task_group() as group:
        group.start_soon(serve)
        yield call
        call.left.set()
        with anyio.fail_after(5):
            await call.ended.wait()


async def asked(path: str, **how: Any) -> Call:
    """Ask and wait for the end of the answer."""
    async with asking(path, **how) as call:
        await until(lambda: call.over)
    return call


class Running:
    """A job in the hands of the test."""

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.id = claim.job.job_id
        self.path = f"/jobs/{self.id}/events"

    async def say(self, *entries: tuple[str, dict[str, Any]], attempt: int = 1, ends: bool = False) -> None:
        said = [Entry(type_, attempt, data) for type_, data in entries]
        args = append_args(self.id, self.claim.job.epoch, said, opens=True, ends=ends)
        async with self.client() as client:
            assert await APPEND.arun(client, args) == 1

    async def end(self, output: str) -> None:
        what = {"output": output, "result": None, "captured": Captured(text=output)}
        assert runtime().database().write(partial(claims.complete, held=self.claim, **what))
        await self.say(("done", {}), ends=True)

    def client(self) -> Any:
        return connect_async(runtime().redis_url())


@pytest.fixture
async def running() -> Running:
    handle = await add.asend(1, 2)
    claim = runtime().database().write(claims.claim, handle.job_id, 1, "w", 60.0)
    assert claim is not None
    return Running(claim)


def chunk(text: str) -> tuple[str, dict[str, Any]]:
    return "chunk", {"run": "r", "text": text}


async def test_a_page_sees_each_event_when_it_comes_and_the_stored_output_last(running: Running) -> None:
    async with asking(running.path) as call:
        await until(lambda: b"retry: " in call.body)
        await running.say(("attempt", {"attempt": 1}), chunk("a"))
        await until(lambda: call.text == "a")
        await running.say(chunk("b"))
        await running.end("ab")
        await until(lambda: call.over)

    assert call.status == 200
    assert call.headers[b"content-type"].startswith(b"text/event-stream")
    assert (call.headers[b"cache-control"], call.headers[b"x-accel-buffering"]) == (b"no-cache", b"no")
    assert [event["event"] for event in call.events] == ["attempt", "chunk", "chunk", "done"]
    assert json.loads(call.events[1]["data"]) == {"run": "r", "text": "a"}
    assert json.loads(call.events[-1]["data"])["output"] == call.text == "ab"


async def test_a_page_that_comes_back_gets_the_rest_and_then_nothing(running: Running) -> None:
    await running.say(("attempt", {"attempt": 1}), chunk("a"), chunk("b"))
    async with asking(running.path) as call:
        await until(lambda: len(call.events) == 3)
    seen = call.events[1]["id"]
    await running.end("ab")

    again = await asked(running.path, last=seen)
    assert again.text == "b"
    assert (await asked(f"{running.path}?after={seen}")).body == again.body
    assert (await asked(running.path, last=again.events[-1]["id"])).status == 204
    followed = [event async for event in jobs.follow(running.id)]
    assert (await asked(f"{running.path}?after={followed[-1].cursor}")).status == 204


async def test_a_page_whose_stream_is_gone_gets_the_output_once(running: Running) -> None:
    await running.end("all")
    runtime().wire().client.delete(stream_key(running.id))

    call = await asked(running.path)

    assert [json.loads(event["data"])["output"] for event in call.events] == ["all"]
    assert (await asked(running.path, last=call.events[-1]["id"])).status == 204


async def test_another_attempt_tells_the_page_to_begin_anew(running: Running) -> None:
    await running.say(("attempt", {"attempt": 1}), chunk("void"))
    await running.say(("attempt", {"attempt": 2}), chunk("new"), attempt=2)
    await running.end("new")

    call = await asked(running.path)

    assert [json.loads(event["data"]) for event in call.events if event["event"] == "attempt"] == [
        {"attempt": 1},
        {"attempt": 2},
    ]


async def test_a_job_that_ran_again_is_read_on_behind_its_first_end(running: Running) -> None:
    await running.end("one")
    end = (await asked(running.path)).events[-1]["id"]
    runtime().database().write(rows.run_again, running.id)
    claim = runtime().database().write(claims.claim, running.id, 2, "w", 60.0)
    assert claim is not None
    again = Running(claim)
    await again.say(("attempt", {"attempt": 2}), chunk("two"), attempt=2)
    await again.end("two")

    call = await asked(running.path, last=end)

    assert [event["event"] for event in call.events] == ["attempt", "chunk", "done"]
    assert json.loads(call.events[-1]["data"])["output"] == "two"


@pytest.mark.parametrize("job_id", ["nobody", "%00", "x" * 300])
async def test_an_unknown_job_has_nothing_to_say(job_id: str) -> None:
    assert (await asked(f"/jobs/{job_id}/events")).status == 204


async def test_a_cursor_that_is_none_is_refused(running: Running) -> None:
    call = await asked(f"{running.path}?after=tomorrow")

    assert call.status == 400
    assert b"tomorrow" in call.body


async def test_a_head_request_is_answered_without_a_stream(running: Running) -> None:
    call = await asked(running.path, method="HEAD")

    assert (call.status, call.body) == (200, b"")


async def test_a_page_that_leaves_takes_its_reader_along_and_not_the_job(running: Running) -> None:
    async with asking(running.path) as call:
        await until(lambda: b"retry: " in call.body)
        await anyio.sleep(0.1)

    assert not call.over
    async with running.client() as client:
        assert [one for one in await client.client_list() if one["cmd"].startswith("xread")] == []
    assert runtime().database().read(rows.get, running.id).state == "executing"


async def test_a_page_that_reads_slowly_misses_nothing(running: Running) -> None:
    async with asking(running.path) as call:
        await until(lambda: b"retry: " in call.body)
        call.stalled = anyio.Event()
        numbers = [f"{number} " for number in range(2000)]
        for start in range(0, 2000, 200):
            await running.say(*(chunk(number) for number in numbers[start : start + 200]))
        call.stalled.set()
        await running.end("")
        await until(lambda: call.over)

    assert call.text == "".join(numbers)


async def test_a_silent_job_is_not_taken_for_a_dead_connection(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.web.event_stream.PING_SECONDS", 0.05)
    async with asking(running.path) as call:
        await until(lambda: call.body.count(b": ping\n\n") > 1)


async def test_a_client_that_a_server_finds_gone_ends_the_answer(running: Running) -> None:
    async def gone(message: Any) -> None:
        if message["type"] == "http.response.body":
            raise OSError("the client is gone")

    call = Call()
    with anyio.fail_after(5):
        await jobs.web.app()(scope_of("GET", running.path), call.receive, gone)


async def test_while_the_database_is_away_the_page_is_told_to_come_back(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any) -> None:
        raise jobs.StorageError("the database is away")

    monkeypatch.setattr(runtime().database(), "aread", away)

    call = await asked(running.path)

    assert (call.status, call.events) == (200, [])
    assert call.body.startswith(b"retry: ")


async def test_without_redis_the_page_is_told_the_end(own_valkey: Valkey) -> None:
    handle = await add.asend(1, 2)
    async with working():
        assert await handle.aresult(timeout=20) == 3
    own_valkey.stop()

    call = await asked(f"/jobs/{handle.job_id}/events")

    assert [event["event"] for event in call.events] == ["done"]


def test_nothing_that_a_model_says_can_end_its_line() -> None:
    said = "\n\ndata: {}\nid: 9-9\r\r\u2028</script>\x00"

    text = event_text([JobEvent("1-1", 1, "chunk", {"text": said})]).decode()

    assert text.count("\n") == 4
    assert text.isascii()
    assert json.loads(text.split("data: ", 1)[1]) == {"text": said}


async def test_a_page_cancels_a_job_once() -> None:
    handle = await add.asend(1, 2)
    path = f"/jobs/{handle.job_id}/cancel"

    first, second = await asked(path, method="POST"), await asked(path, method="POST")

    assert json.loads(first.body) == {"job_id": handle.job_id, "cancelled": True}
    assert json.loads(second.body)["cancelled"] is False
    assert await handle.astatus() == "cancelled"
    assert (await asked("/jobs/nobody/cancel", method="POST")).status == 404
    assert (await asked(path)).status == 405


def by_query(request: Request, job_id: str) -> bool:
    return request.query_params.get("user") == "anna"


async def by_query_later(request: Request, job_id: str) -> bool:
    await anyio.lowlevel.checkpoint()
    return by_query(request, job_id)


@pytest.mark.parametrize("authorize", [by_query, by_query_later])
async def test_the_host_says_who_may_read_and_cancel(authorize: Callable[..., Any]) -> None:
    handle = await add.asend(1, 2)
    app = Starlette(routes=[Mount("/ai", routes=jobs.web.routes(authorize=authorize))])

    for method, what in (("GET", "events"), ("POST", "cancel")):
        call = await asked(f"/ai/jobs/{handle.job_id}/{what}", app=app, method=method)
        assert call.status == 403
    assert await handle.astatus() == "available"
    path = f"/ai/jobs/{handle.job_id}/cancel?user=anna"
    assert (await asked(path, app=app, method="POST")).status == 200


def test_starlette_is_loaded_only_where_it_is_used() -> None:
    code = "import sys, jobs, jobs.web; jobs.follow, jobs.actor; print('starlette' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "False\n"


def test_a_missing_starlette_is_named_with_its_remedy() -> None:
    code = "import sys; sys.modules['starlette'] = None; import jobs.web; jobs.web.sse"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert "aquila-llm[jobs,web]" in done.stderr
