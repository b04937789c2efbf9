"""Replay: what a request costs that is answered from a cassette of so many interactions, and what loading it costs."""
# ruff: noqa: PLC0415 - as in `clients.py`: what each one yields is said once, at `Play`, and imports stay inside.

from __future__ import annotations

import gc
import random
import ssl
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import lru_cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from aquila.transport.base import Request
from benchmarks.cassette_file import cassette, request
from benchmarks.scenario import Scenario, Target
from benchmarks.tally import BrokenClientError

_EVENTS = 10
#: CPU spent on requests; one that takes longer than all of it is measured once. Opening may take as much again.
_SECONDS = 0.25

#: Sends a request, reads the answer to its end, and gives the number of bytes.
Play = Callable[[Request], Coroutine[Any, Any, int]]
#: Opens a cassette.
Open = Callable[[Path], AbstractAsyncContextManager[Play]]


async def measure(client: str, _url: str, *, interactions: int) -> dict[str, float]:
    """Play every interaction once, in an order of its own, again and again; the server is not asked.

    The first request after opening is not counted as one: whatever is put off until then belongs to loading.
    """
    text = cassette(interactions + 1, _EVENTS)
    first, *others = [request(number) for number in range(interactions + 1)]
    random.Random(interactions).shuffle(others)  # noqa: S311 - an order, not a secret
    spent, count, load = 0.0, 0, 0.0
    with TemporaryDirectory() as folder:
        path = Path(folder) / "cassette.yaml"
        path.write_bytes(text)
        gc.collect()
        ends = time.process_time() + 2 * _SECONDS
        while not count or (spent < _SECONDS and time.process_time() < ends):
            began = time.process_time()
            async with _CLIENTS[client](path) as play:
                await _whole(play, first)
                opened = time.process_time()
                load = load or opened - began
                for sent in others:
                    await _whole(play, sent)
                    count += 1
                    if spent + time.process_time() - opened > _SECONDS:
                        break
                spent += time.process_time() - opened
    each = spent / count * 1e6
    return {"request": each, "with load": each + load / interactions * 1e6, "load": load * 1e3}


async def _whole(play: Play, sent: Request) -> None:
    size = await play(sent)
    if size < _EVENTS * 100:
        raise BrokenClientError(f"an answer of {size} bytes")


@asynccontextmanager
async def _aquila(path: Path) -> AsyncIterator[Play]:
    from aquila.cassette import ReplayTransport

    transport = ReplayTransport(path)

    async def play(sent: Request) -> int:
        response = await transport.send(sent)
        size = 0
        async for chunk in response.chunks:
            size += len(chunk)
        await response.aclose()
        return size

    yield play
    await transport.aclose()


@asynccontextmanager
async def _aquila_httpx(path: Path) -> AsyncIterator[Play]:
    from aquila.cassette import ReplayTransport

    async with _through(ReplayTransport(path)) as play:
        yield play


@asynccontextmanager
async def _vcrpy(path: Path, *, match: str) -> AsyncIterator[Play]:
    import vcr

    with vcr.use_cassette(str(path), record_mode="none", match_on=["method", "uri", match]):
        async with _through(None) as play:
            yield play


@asynccontextmanager
async def _httpx_alone(_path: Path) -> AsyncIterator[Play]:
    import httpx

    body = b"data: " + b"x" * 190 + b"\n\n"

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(_EVENTS):
            yield body

    async with _through(httpx.MockTransport(lambda _: httpx.Response(200, content=chunks()))) as play:
        yield play


@asynccontextmanager
async def _through(transport: Any) -> AsyncIterator[Play]:
    import httpx

    async def play(sent: Request) -> int:
        size = 0
        async with client.stream(
            sent.method, sent.url, content=sent.body, headers=dict(sent.headers)
        ) as response:
            async for chunk in response.aiter_raw():
                size += len(chunk)
        return size

    async with httpx.AsyncClient(transport=transport, verify=_certificates()) as client:
        yield play


@lru_cache
def _certificates() -> ssl.SSLContext:
    # Reading them takes longer than loading most cassettes.
    return ssl.create_default_context()


_CLIENTS: dict[str, Open] = {
    "aquila": _aquila,
    "aquila/httpx": _aquila_httpx,
    "httpx alone": _httpx_alone,
    "vcrpy, body": partial(_vcrpy, match="body"),
    "vcrpy, raw": partial(_vcrpy, match="raw_body"),
}


def _scenario(interactions: int, *targets: Target, without: tuple[str, ...] = ()) -> Scenario:
    many = "1 interaction" if interactions == 1 else f"{interactions:,} interactions"
    return Scenario(
        title=f"cassettes: replay from {many}",
        measure=partial(measure, interactions=interactions),
        clients=tuple(client for client in _CLIENTS if client not in without),
        columns={"request": "us CPU", "with load": "us CPU", "load": "ms CPU"},
        targets=targets,
        warm_ups=1,
    )


SCENARIOS = (
    _scenario(1),
    _scenario(100),
    _scenario(
        400,
        Target(what="request", of="aquila", over="vcrpy, body", at_most=1 / 100),
        Target(what="request", of="aquila/httpx", over="vcrpy, body", at_most=1 / 100),
        Target(what="with load", of="aquila", over="vcrpy, body", at_most=1 / 50),
    ),
    _scenario(
        1000,
        Target(what="request", of="aquila", at_most=1000.0),
        Target(what="request", of="aquila/httpx", at_most=1000.0),
        # One of its requests takes longer than everything else together.
        without=("vcrpy, body",),
    ),
)
