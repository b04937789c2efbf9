"""What recording and replaying promise: nothing is held back, boundaries stay, and size and number cost nothing.

Speed is told by counting Python's function calls, which is the same on every machine, or with bounds that only a
mistake can miss; `benchmarks/cassette_*.py` measures it.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Self

import anyio
import httpx
import httpx2
import pytest

from aquila.cassette import RecordTransport, ReplayTransport
from aquila.cassette.file.disk import write
from aquila.cassette.file.format import assemble, render
from aquila.cassette.matching.match import Index
from aquila.transport import OpenAITransport
from aquila.transport.base import Request, Transport
from tests import wire
from tests.tapes import interaction, read, request, scripted
from tests.wire import Connection

#: Seconds until a test gives up on what never comes.
PATIENCE = 5.0
#: Cut inside an event, inside a character, inside the blank line, and with two events in one.
PIECES = (
    b'data: {"model":"tiny-1","choices":[{"delta":{"content":"Gr\xc3',
    b'\xbc"}}]}\n',
    b"\n",
    b'data: {"choices":[{"delta":{"content":"!"}}]}\n\ndata: {"choices":[]}\n\n',
    b"data: [DONE]\n\n",
)


class Calls:
    """Counts the calls of this thread between entering and leaving."""

    def __init__(self) -> None:
        self.count = 0

    def _note(self, frame: FrameType, event: str, value: object) -> None:
        if event in {"call", "c_call"}:
            self.count += 1

    def __enter__(self) -> Self:
        sys.setprofile(self._note)
        return self

    def __exit__(self, *exc_info: object) -> None:
        sys.setprofile(None)


class Handshake:
    """Answers with pieces, each of which is sent when the reader has had the one before."""

    def __init__(self) -> None:
        self.sent = 0
        self._turns: list[anyio.Event] = []

    async def __call__(self, connection: Connection) -> None:
        self._turns = [anyio.Event() for _ in PIECES]
        connection.start()
        for number, piece in enumerate(PIECES):
            connection.send(piece)
            self.sent = number + 1
            with anyio.move_on_after(PATIENCE):
                await self._turns[number].wait()
        connection.end()

    async def read(self, transport: Transport, sent: Request) -> list[tuple[int, bytes]]:
        """Give the chunks, and how many pieces had been sent when each one came."""
        response = await transport.send(sent)
        seen = []
        async for chunk in response.chunks:
            seen.append((self.sent, chunk))
            self._turns[self.sent - 1].set()
        await response.aclose()
        return seen


@pytest.fixture(params=["default", "httpx", "httpx2"])
async def real(request: pytest.FixtureRequest) -> AsyncIterator[Transport]:
    client = {"default": lambda: None, "httpx": httpx.AsyncClient, "httpx2": httpx2.AsyncClient}[
        request.param
    ]()
    transport = OpenAITransport(client=client)
    yield transport
    await transport.aclose()
    if client is not None:
        await client.aclose()


async def test_while_recording_each_chunk_comes_before_the_next_is_sent(
    real: Transport, tmp_path: Path
) -> None:
    handshake = Handshake()
    path = tmp_path / "a.yaml"

    with anyio.fail_after(3 * PATIENCE):
        async with wire.serve(handshake) as server:
            sent = Request(method="POST", url=f"{server.url}/chat/completions", body=b'{"n":1}')
            plain = await handshake.read(real, sent)
            recorded = await handshake.read(RecordTransport(real, path), sent)

    assert recorded == plain == list(enumerate(PIECES, start=1))
    assert await read(ReplayTransport(path), sent) == list(PIECES)


async def test_recording_adds_few_calls_to_a_chunk(tmp_path: Path) -> None:
    async def calls(chunks: int, transport: Callable[[Transport], Transport]) -> int:
        response = await transport(scripted(*[b"data: {}\n\n"] * chunks)).send(request(str(chunks)))
        with Calls() as counted:
            for _ in range(chunks):
                await anext(response.chunks)
        await response.aclose()
        return counted.count

    def recording(inner: Transport) -> Transport:
        return RecordTransport(inner, tmp_path / "a.yaml")

    plain = await calls(1000, lambda inner: inner) - await calls(500, lambda inner: inner)
    recorded = await calls(1000, recording) - await calls(500, recording)

    assert (recorded - plain) / 500 <= 6


def agent_request(number: int) -> Request:
    return request(f"page {number:04}", instructions="Look things up before you answer. " * 75)


def agent_cassette(path: Path, count: int, *, events: int = 10) -> Path:
    chunks = [(20 * (event + 1), b"data: {}\n\n") for event in range(events)]
    write(
        path,
        assemble(
            render(interaction(agent_request(number), chunks=chunks, total_ms=20 * events))
            for number in range(count)
        ),
    )
    return path


async def loaded(path: Path, count: int, **options: float) -> tuple[ReplayTransport, list[Request]]:
    """A transport that has read its file, and the requests it can still answer, in an order of their own."""
    transport = ReplayTransport(path, **options)
    await (await transport.send(agent_request(0))).aclose()
    requests = [agent_request(number) for number in range(1, count)]
    random.Random(count).shuffle(requests)  # noqa: S311 - an order, not a secret
    return transport, requests


async def cost(path: Path, count: int) -> tuple[float, float]:
    """Calls and CPU seconds of one replayed request, of 40."""
    transport, requests = await loaded(path, count)
    with Calls() as counted:
        for sent in requests[:40]:
            await read(transport, sent)
    transport, requests = await loaded(path, count)
    began = time.process_time()
    for sent in requests[:40]:
        await read(transport, sent)
    return counted.count / 40, (time.process_time() - began) / 40


async def test_a_request_costs_the_same_from_a_thousand_interactions_as_from_fifty(tmp_path: Path) -> None:
    few = agent_cassette(tmp_path / "few.yaml", 50)
    many = agent_cassette(tmp_path / "many.yaml", 1000)

    costs = [(await cost(few, 50), await cost(many, 1000)) for _ in range(3)]

    (few_calls, _), (many_calls, _) = costs[-1]
    assert many_calls == pytest.approx(few_calls, rel=0.05)
    of_few, of_many = (min(pair[side][1] for pair in costs) for side in (0, 1))
    assert of_many <= 5 * of_few
    # 1,000 requests a CPU-second are promised.
    assert of_many <= 5 / 1000


def test_a_claim_costs_the_same_whatever_number_waits() -> None:
    def seconds(count: int) -> float:
        like = interaction()
        index = Index(replace(like, key=f"{number:032x}") for number in range(count))
        keys = [f"{number:032x}" for number in range(count - 100, count)]
        began = time.process_time()
        assert None not in [index.claim(key) for key in keys]
        return time.process_time() - began

    few = min(seconds(100) for _ in range(5))

    # A search through all of them would take more than 100 times as long.
    assert min(seconds(50_000) for _ in range(2)) <= 20 * few


async def test_loading_costs_few_calls_a_chunk(tmp_path: Path) -> None:
    async def calls(chunks: int) -> int:
        path = agent_cassette(tmp_path / f"{chunks}.yaml", 1, events=chunks)
        with Calls() as counted:
            transport, _ = await loaded(path, 1)
        await transport.aclose()
        return counted.count

    assert await calls(20) > 0
    assert (await calls(6000) - await calls(1000)) / 5000 <= 20


async def test_many_timed_replays_keep_to_their_schedules(tmp_path: Path) -> None:
    transport, requests = await loaded(agent_cassette(tmp_path / "a.yaml", 201, events=15), 201, speed=1)
    late: list[float] = []

    async def play(sent: Request) -> None:
        due = time.monotonic()
        response = await transport.send(sent)
        async for _ in response.chunks:
            due += 0.02
            late.append(time.monotonic() - due)
            await anyio.sleep(0.01)  # A schedule that chained its waits would lose this time with each chunk.
        await response.aclose()

    async with anyio.create_task_group() as tasks:
        for sent in requests:
            tasks.start_soon(play, sent)

    assert len(late) == 200 * 15
    assert min(late) > -0.005
    # 20 ms are promised, for a thousand.
    assert statistics.quantiles(late, n=100)[98] < 0.5
