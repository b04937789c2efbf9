"""A background response that an attempt has paid for is read by the next one, and ended with its job."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from job_step_actors import research
from job_workers import WorkerProcess, until, working
from sqlalchemy import select

import aquila
from aquila import errors, pickup
from aquila.background import keeping
from aquila.events import Retrying, Status
from aquila.testing import Answer, ScriptedTransport
from jobs.broker import runtime
from jobs.handle import JobHandle
from jobs.reattach import RESPONSE
from jobs.tables import steps
from tests import responses_wire as rw
from tests.fault_server import Responses as Wire
from tests.fault_server import misbehave, reply
from tests.fault_server import refusal as refused
from tests.rounds import QUICK, events_of, refusal, scripted
from tests.wire import Server

pytest_plugins = ["job_fixtures"]

LOST = errors.ConnectionFailed("reset")
WHOLE = rw.answer("On", "ce ", "upon ", "a time")
OTHER = rw.answer("A ", "new one", response_id="resp_2")
GONE = refusal(404, "no such response")


def failing(begun: int) -> list[bytes]:
    """The response fails behind so many events."""
    end = rw.response("failed", error={"code": "server_error", "message": "broken"})
    return [*WHOLE[:begun], rw.event("response.failed", begun, response=end)]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickup, "_FIRST_PAUSE", 0.01)


class Shelf:
    """A keeper in memory, which outlives an attempt."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}
        self.cancels: dict[str, Callable[[], Awaitable[int]]] = {}

    async def recall(self, key: str) -> str | None:
        await anyio.lowlevel.checkpoint()
        return self.kept.get(key)

    async def record(self, key: str, response_id: str, cancel: Callable[[], Awaitable[int]]) -> None:
        await anyio.lowlevel.checkpoint()
        self.kept[key], self.cancels[key] = response_id, cancel

    async def forget(self, key: str) -> None:
        del self.kept[key], self.cancels[key]

    def ended(self, key: str) -> None:
        del self.cancels[key]

    @property
    def ids(self) -> list[str]:
        return list(self.kept.values())


def ask(transport: ScriptedTransport, **options: Any) -> aquila.Stream:
    given = {"endpoint": "responses", "background": True, "retry": QUICK, "model": "m", **options}
    return aquila.stream("tell", transport=transport, **given)


def asked(transport: ScriptedTransport) -> list[str]:
    return [f"{request.method} {request.url.partition('/responses')[2]}" for request in transport.requests]


def stored(status: str, text: str = "") -> Answer:
    body = json.dumps(rw.response(status, [rw.message(text)] if text else [])).encode()
    return Answer(headers={"content-type": "application/json"}, chunks=[body])


async def interrupted(*events: Any, **options: Any) -> Shelf:
    """A shelf after an attempt that died with the stream."""
    shelf = Shelf()
    with keeping(shelf), pytest.raises(errors.AquilaError):
        await ask(scripted([*(events or WHOLE[:6]), LOST], [LOST]), **{"retry": 0, **options})
    return shelf


async def again(shelf: Shelf, transport: ScriptedTransport, **options: Any) -> aquila.Response:
    with keeping(shelf):
        return await ask(transport, **options)


async def test_the_next_attempt_reads_the_same_response_from_its_beginning() -> None:
    shelf, transport = await interrupted(), scripted(WHOLE)

    with keeping(shelf):
        stream = ask(transport)
        events = await events_of(stream)

    assert asked(transport) == ["GET /resp_1?stream=true"]
    assert Status("attached", {"response_id": "resp_1"}) in events
    answer = await stream
    assert (answer.text, answer.response_id, answer.status) == ("Once upon a time", "resp_1", "completed")
    assert (shelf.ids, shelf.cancels, transport.open) == (["resp_1"], {}, 0)


async def test_a_stream_that_is_lost_once_more_goes_on_behind_its_last_event() -> None:
    transport = scripted([*WHOLE[:6], LOST], WHOLE[6:])

    answer = await again(await interrupted(), transport)

    assert asked(transport) == ["GET /resp_1?stream=true", "GET /resp_1?stream=true&starting_after=5"]
    assert answer.text == "Once upon a time"


async def test_what_can_no_longer_be_streamed_is_asked_for_until_it_is_done() -> None:
    transport = scripted(
        refusal(400, "too old"), stored("in_progress"), stored("completed", "Once upon a time")
    )

    answer = await again(await interrupted(), transport)

    assert asked(transport) == ["GET /resp_1?stream=true", "GET /resp_1", "GET /resp_1"]
    assert answer.text == "Once upon a time"


@pytest.mark.parametrize("answers", [[GONE, GONE], [refusal(405, "no such method")], [failing(2)], [GONE, stored("failed")], [GONE, stored("cancelled")]])  # fmt: skip
async def test_a_response_that_failed_or_is_gone_is_made_anew(answers: list[Any]) -> None:
    shelf, transport = await interrupted(), scripted(*answers, OTHER)

    with keeping(shelf):
        stream = ask(transport)
        events = await events_of(stream)

    assert [line.partition(" ")[0] for line in asked(transport)] == ["GET"] * len(answers) + ["POST"]
    assert ((await stream).text, shelf.ids) == ("A new one", ["resp_2"])
    assert len([event for event in events if isinstance(event, Retrying)]) == 1


async def test_a_response_that_fails_behind_its_beginning_is_an_error_and_made_anew_by_the_next() -> None:
    shelf = await interrupted()

    with pytest.raises(errors.ProviderStreamError, match="broken"):
        await again(shelf, scripted(failing(6)))

    transport = scripted(OTHER)
    assert (await again(shelf, transport)).text == "A new one"
    assert asked(transport) == ["POST "]


async def test_a_response_that_fails_behind_a_loss_is_not_asked_for_again() -> None:
    shelf, transport = Shelf(), scripted([*WHOLE[:2], LOST], failing(2)[2:])

    with pytest.raises(errors.ProviderStreamError, match="broken"):
        await again(shelf, transport)

    assert asked(transport) == ["POST ", "GET /resp_1?stream=true&starting_after=1"]
    assert shelf.kept == {}


@pytest.mark.parametrize("answer", [refusal(401, "wrong key"), refusal(503, "busy"), LOST, [LOST]])
async def test_trouble_on_the_way_costs_no_response(answer: Any) -> None:
    shelf = await interrupted()

    with pytest.raises(errors.AquilaError):
        await again(shelf, scripted(answer))

    transport = scripted(WHOLE)
    assert (await again(shelf, transport)).text == "Once upon a time"
    assert asked(transport) == ["GET /resp_1?stream=true"]


async def test_another_request_makes_a_response_of_its_own() -> None:
    transport = scripted(OTHER)

    await again(await interrupted(), transport, temperature=0.5)

    assert asked(transport) == ["POST "]


async def test_the_same_request_twice_has_two_responses_and_each_is_found_again() -> None:
    shelf = Shelf()
    with keeping(shelf):
        for whole in (WHOLE, OTHER):
            await ask(scripted(whole))

    found = scripted(WHOLE, OTHER, rw.answer("third", response_id="resp_3"))
    with keeping(shelf):
        texts = [(await ask(found)).text for _ in range(3)]

    assert texts == ["Once upon a time", "A new one", "third"]
    assert asked(found) == ["GET /resp_1?stream=true", "GET /resp_2?stream=true", "POST "]


async def test_a_request_that_is_repeated_keeps_the_response_that_came_of_it() -> None:
    shelf = Shelf()

    await again(shelf, scripted(refusal(503, "busy"), failing(2), OTHER))

    assert shelf.ids == ["resp_2"]


async def test_a_run_that_is_not_in_the_background_is_not_kept() -> None:
    shelf = Shelf()

    await again(shelf, scripted(WHOLE), background=None)

    assert shelf.kept == {}


async def test_rounds_with_tools_are_kept_one_by_one() -> None:
    runs = []

    def go() -> str:
        runs.append("go")
        return "gone"

    calls, last = Wire.calls(("c1", "go", "{}")), rw.answer("So be it", response_id="resp_2")
    shelf = Shelf()
    with keeping(shelf), pytest.raises(errors.ConnectionFailed):
        await ask(scripted(calls, [*last[:5], LOST], [LOST]), tools=[go], retry=0)
    transport = scripted(calls, last)

    answer = await again(shelf, transport, tools=[go])

    assert asked(transport) == ["GET /resp_1?stream=true", "GET /resp_2?stream=true"]
    assert (answer.text, shelf.ids) == ("So be it", ["resp_1", "resp_2"])


async def kept_by(handle: JobHandle) -> list[Any]:
    query = select(steps.c.value).where(steps.c.job_id == handle.job_id, steps.c.name.startswith(RESPONSE))
    return await runtime().database().aread(lambda connection: list(connection.scalars(query)))


def lines(server: Server) -> list[str]:
    heads = [connection.head.splitlines()[0] for connection in server.connections]
    return [head.removesuffix(" HTTP/1.1").replace("/v1/responses", "") for head in heads]


@pytest.mark.usefixtures("place")
async def test_an_attempt_that_failed_behind_its_answer_is_not_paid_twice() -> None:
    async with misbehave(reply(*WHOLE)) as server, working():
        handle = await research.asend(server.url, 3)
        assert await handle.aresult(timeout=20) == "Once upon a time"

    assert lines(server) == ["POST ", "GET /resp_1?stream=true", "GET /resp_1?stream=true"]
    assert (await handle.ajob()).output == "Once upon a time"


@pytest.mark.usefixtures("place")
async def test_a_worker_that_is_killed_in_mid_stream_leaves_its_response_to_the_next(tmp_path: Path) -> None:
    async with misbehave(reply(*WHOLE[:6], "LINGER"), reply(*WHOLE)) as server:
        handle = await research.asend(server.url)
        with WorkerProcess(tmp_path / "a", "job_step_actors") as worker:
            with anyio.fail_after(20):
                while not await kept_by(handle):  # noqa: ASYNC110 - it belongs to another process
                    await anyio.sleep(0.01)
            worker.kill()
        async with working():
            assert await handle.aresult(timeout=20) == "Once upon a time"

    assert lines(server) == ["POST ", "GET /resp_1?stream=true"]
    assert await kept_by(handle) == [{"response_id": "resp_1"}]


@pytest.mark.usefixtures("place")
async def test_a_worker_that_stops_leaves_its_response_to_the_next() -> None:
    async with misbehave(reply(*WHOLE[:6], "LINGER"), reply(*WHOLE)) as server:
        handle = await research.asend(server.url)
        async with working():
            with anyio.fail_after(20):
                while not await kept_by(handle):  # noqa: ASYNC110 - the worker is to be stopped behind it
                    await anyio.sleep(0.01)
        async with working():
            assert await handle.aresult(timeout=20) == "Once upon a time"

    assert lines(server) == ["POST ", "GET /resp_1?stream=true"]


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("word", ["completed", "500 Broken", "reset"])
async def test_a_cancelled_job_ends_its_response_at_the_provider(word: str) -> None:
    answers = {
        "completed": reply(json.dumps(rw.response("cancelled")).encode(), kind="application/json"),
        "500 Broken": refused("500 Broken"),
        "reset": reply("RESET"),
    }
    async with misbehave(reply(*WHOLE[:6], "LINGER"), answers[word]) as server, working() as said:
        handle = await research.asend(server.url)
        with anyio.fail_after(20):
            while not await kept_by(handle):  # noqa: ASYNC110 - the job is to be cancelled behind it
                await anyio.sleep(0.01)

        assert await handle.acancel()

        await until(lambda: len(server.connections) == 2)
        await until(lambda: any("cancelled" in line for line in said))
    assert lines(server) == ["POST ", "POST /resp_1/cancel"]
