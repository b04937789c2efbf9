"""Burst: one stream of 2,000 chunks, as fast as the socket takes them. The parsers' best case."""

from __future__ import annotations

import time

from benchmarks.clients import CLIENTS
from benchmarks.scenario import Scenario, Target
from benchmarks.tally import Tally

_CHUNKS = 2000
#: A single burst takes a fast client 5 ms, which is less than a process needs to get going after its wait.
_SECONDS = 0.25
_TITLE = "burst: 2,000 chunks in big reads"


async def measure(client: str, url: str) -> dict[str, float]:
    """Read one burst after the other over a warm connection; CPU of opening the client is left out."""
    async with CLIENTS[client](url) as read:
        await read("20@0", lambda _: None)
        tally = Tally()
        chunks = 0
        ends = time.monotonic() + _SECONDS
        while not chunks or time.monotonic() < ends:
            await read(f"{_CHUNKS}@0", tally.each)
            chunks += _CHUNKS
        return {"CPU": tally.cpu(chunks, chunks)}


_ALL = (
    "socket loop",
    "aquila",
    "aquila, ask",
    "httpx",
    "httpx2",
    "openai",
    "any-llm",
    "llm",
    "langchain",
    "pydantic-ai",
)
_FEW = ("socket loop", "aquila", "aquila, ask", "httpx", "httpx2", "openai")
_TARGETS = (
    Target(what="CPU", of="aquila", over="openai", at_most=1 / 15, aim=1 / 20),
    Target(what="CPU", of="aquila", over="socket loop", at_most=4.0),
)

SCENARIOS = (
    Scenario(
        title=_TITLE, measure=measure, clients=_ALL, columns={"CPU": "us a chunk"},
        targets=_TARGETS, rounds=7, warm_ups=2,
    ),
    Scenario(
        title=f"{_TITLE}, over TLS", measure=measure, clients=_FEW, columns={"CPU": "us a chunk"},
        scheme="https", targets=_TARGETS, rounds=7, warm_ups=2,
    ),
)  # fmt: skip
