"""Record: what a recorder adds to the wait for the first chunk, and which chunks it lets through together.

Every answer is read twice, without a recorder and with one: ten events, 20 ms apart.
"""
# ruff: noqa: PLC0415 - as in `clients.py`: what each one yields is said once, at `Send`, and imports stay inside.

from __future__ import annotations

import importlib
import json
import statistics
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio

from aquila.transport.base import Request, Transport
from benchmarks.scenario import Scenario, Target
from benchmarks.tally import BrokenClientError

_EVENTS = 10
_PAUSE_MS = 20
_ANSWERS = 60
#: Answers under way at a time, so that a round takes seconds; they start one after the other.
_TOGETHER = 10

#: Sends a request and tells each chunk of the body.
Send = Callable[[Request, Callable[[bytes], None]], Coroutine[Any, Any, None]]
#: Opens a client; a path makes it record.
Open = Callable[[Path | None], AbstractAsyncContextManager[Send]]


@dataclass(slots=True)
class Waits:
    """What readers of one kind have seen."""

    #: Seconds from the request to the first chunk.
    first: list[float] = field(default_factory=list)
    #: Events that came in one chunk with the event before them.
    merged: int = 0

    def p95(self) -> float:
        """Give the 95th percentile of the wait."""
        return statistics.quantiles(self.first, n=20)[18]


async def measure(client: str, url: str) -> dict[str, float]:
    """Read all answers plainly, then record as many."""
    with TemporaryDirectory() as folder:
        plain = await _read(_CLIENTS[client], None, url)
        recorded = await _read(_CLIENTS[client], Path(folder) / "cassette.yaml", url)
    return {
        "first chunk": statistics.median(recorded.first) * 1e3,
        "added": (statistics.median(recorded.first) - statistics.median(plain.first)) * 1e3,
        "added p95": (recorded.p95() - plain.p95()) * 1e3,
        "merged": (recorded.merged - plain.merged) / _ANSWERS,
    }


async def _read(opened: Open, path: Path | None, url: str) -> Waits:
    waits = Waits()
    async with opened(path) as send:
        # Connections stand before anything counts.
        async with anyio.create_task_group() as tasks:
            for number in range(_TOGETHER):
                tasks.start_soon(send, _request(url, number), lambda _: None)
        async with anyio.create_task_group() as tasks:
            for lane in range(_TOGETHER):
                tasks.start_soon(_lane, send, url, lane, waits)
    return waits


async def _lane(send: Send, url: str, lane: int, waits: Waits) -> None:
    # No two begin, end, or expect an event at the same moment.
    await anyio.sleep(lane * (_EVENTS - 1) * _PAUSE_MS / _TOGETHER / 1000)
    for number in range(lane, _ANSWERS, _TOGETHER):
        await _answer(send, _request(url, _TOGETHER + number), waits)


async def _answer(send: Send, request: Request, waits: Waits) -> None:
    chunks: list[bytes] = []
    began = time.perf_counter()

    def each(chunk: bytes) -> None:
        if not chunks:
            waits.first.append(time.perf_counter() - began)
        chunks.append(chunk)

    await send(request, each)
    # After the last event the server sends what ends the answer, in one write or in two.
    events = [chunk.count(b'"content"') for chunk in chunks]
    if sum(events) != _EVENTS:
        raise BrokenClientError(f"{sum(events)} events came instead of {_EVENTS}")
    waits.merged += _EVENTS - sum(count > 0 for count in events)


def _request(url: str, number: int) -> Request:
    body = {"model": f"{_EVENTS}@{_PAUSE_MS}", "messages": [{"role": "user", "content": str(number)}]}
    return Request(
        method="POST",
        url=f"{url}/chat/completions",
        headers={"content-type": "application/json"},
        body=json.dumps(body).encode(),
    )


@asynccontextmanager
async def _aquila(path: Path | None, *, library: str | None = None) -> AsyncIterator[Send]:
    from aquila.cassette import RecordTransport
    from aquila.transport import OpenAITransport

    client = importlib.import_module(library).AsyncClient() if library else None
    inner: Transport = OpenAITransport(client=client)
    transport: Transport = RecordTransport(inner, path) if path else inner

    async def send(request: Request, each: Callable[[bytes], None]) -> None:
        response = await transport.send(request)
        async for chunk in response.chunks:
            each(chunk)
        await response.aclose()

    yield send
    await transport.aclose()
    if client is not None:
        await client.aclose()


@asynccontextmanager
async def _vcrpy(path: Path | None) -> AsyncIterator[Send]:
    import httpx

    async def send(request: Request, each: Callable[[bytes], None]) -> None:
        async with client.stream(
            request.method, request.url, content=request.body, headers=dict(request.headers)
        ) as response:
            async for chunk in response.aiter_raw():
                each(chunk)

    with _recording(path):
        async with httpx.AsyncClient() as client:
            yield send


@contextmanager
def _recording(path: Path | None) -> Any:
    import vcr

    if path is None:
        yield
        return
    with vcr.use_cassette(str(path), record_mode="all"):
        yield


_CLIENTS: dict[str, Open] = {
    "aquila": _aquila,
    "aquila/httpx": partial(_aquila, library="httpx"),
    "aquila/httpx2": partial(_aquila, library="httpx2"),
    "vcrpy/httpx": _vcrpy,
}

_OURS = ("aquila", "aquila/httpx", "aquila/httpx2")
SCENARIOS = (
    Scenario(
        title="cassettes: record ten events 20 ms apart",
        measure=measure,
        clients=tuple(_CLIENTS),
        rounds=2,
        columns={"first chunk": "ms", "added": "ms", "merged": "events of 10"},
        targets=tuple(
            Target(what=what, of=client, at_most=most)
            for client in _OURS
            for what, most in (("added", 5.0), ("added p95", 5.0), ("merged", 0.0))
        ),
    ),
)
