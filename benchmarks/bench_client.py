"""CPU of the client process for each streamed chunk, Aquila against its peers, interleaved in one run.

`make bench` runs it. Only the ratios mean something: single runs on a busy machine differ by more than a half.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import openai

import aquila

CHUNKS = 2000
ROUNDS = 7
ASK = [{"role": "user", "content": "hi"}]


async def with_aquila(url: str) -> int:
    count = 0
    async with aquila.stream("hi", base_url=url, model="m") as stream:
        async for event in stream:
            count += isinstance(event, aquila.Chunk)
    return count


async def with_aquila_ask(url: str) -> int:
    return (await aquila.ask("hi", base_url=url, model="m")).text.count("token")


async def with_httpx_lines(url: str) -> int:
    count = 0
    body = {"model": "m", "messages": ASK, "stream": True}
    async with (
        httpx.AsyncClient() as client,
        client.stream("POST", f"{url}/chat/completions", json=body) as response,
    ):
        async for line in response.aiter_lines():
            if line.startswith("data: {"):
                count += bool(json.loads(line[6:])["choices"][0]["delta"].get("content"))
    return count


async def with_openai(url: str) -> int:
    count = 0
    async with openai.AsyncOpenAI(base_url=url, api_key="k") as client:
        stream = await client.chat.completions.create(model="m", messages=ASK, stream=True)  # type: ignore[arg-type]
        async for chunk in stream:
            count += bool(chunk.choices[0].delta.content)
    return count


CLIENTS: dict[str, Callable[[str], Awaitable[int]]] = {
    "aquila, events": with_aquila,
    "aquila, ask": with_aquila_ask,
    "httpx lines + json": with_httpx_lines,
    "openai": with_openai,
}


async def measure(url: str) -> dict[str, list[float]]:
    costs: dict[str, list[float]] = {name: [] for name in CLIENTS}
    for number in range(ROUNDS + 1):
        for name, client in CLIENTS.items():
            before = time.process_time()
            assert await client(url) == CHUNKS, name  # noqa: S101 - a client that loses chunks is not measured
            if number:  # the first round pays for imports
                costs[name].append((time.process_time() - before) / CHUNKS * 1e6)
    return costs


def main() -> None:
    command = [sys.executable, str(Path(__file__).parent / "server.py"), str(CHUNKS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        try:
            port = int(server.stdout.readline()) if server.stdout else 0
            costs = asyncio.run(measure(f"http://127.0.0.1:{port}/v1"))
        finally:
            server.kill()
    base = statistics.median(costs["aquila, events"])
    print(
        f"{'burst of ' + str(CHUNKS) + ' chunks':<22}  {'min':>6}  {'median':>6}  {'max':>6}   times aquila"
    )
    for name, values in costs.items():
        median = statistics.median(values)
        print(f"{name:<22}  {min(values):6.1f}  {median:6.1f}  {max(values):6.1f}   {median / base:6.1f}")
    print("microseconds of CPU for each chunk")


if __name__ == "__main__":
    main()
