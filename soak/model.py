"""The model: streams forty chunks in about a second over a loopback socket, in the moods that a job may ask for."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from soak.actors import CHUNKS, answer

#: Seconds between two chunks.
PACE = 1.0 / CHUNKS
#: The part of flaky requests that fail.
FAILING = 1 / 3
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def _refusal(status: str, code: str, *headers: str) -> bytes:
    body = json.dumps({"error": {"message": "on purpose", "type": code, "code": code}})
    lines = [f"HTTP/1.1 {status}", "content-type: application/json", f"content-length: {len(body)}", *headers]
    return ("\r\n".join(lines) + f"\r\n\r\n{body}").encode()


#: How a flaky request is refused.
REFUSALS = {
    "error": _refusal("500 Internal Server Error", "server_error"),
    "overload": _refusal("503 Service Unavailable", "overloaded", "retry-after: 1"),
    "limit": _refusal("429 Too Many Requests", "rate_limit_exceeded", "retry-after: 1"),
}


class Model:
    """Answers chat completions. `steady` is the usual mood.

    `cut` breaks the connection in the middle of a prompt's first answer; `held` waits in the middle until `release`;
    `flaky` fails a third of its requests, each in one of the ways that providers fail in.
    """

    def __init__(self) -> None:
        self.url = ""
        #: Answers that are being streamed.
        self.open = 0
        #: Answers that wait in the middle.
        self.held = 0
        #: Requests so far.
        self.asked = 0
        #: Requests that were failed on purpose.
        self.failed = 0
        self._cut: set[str] = set()
        self._tries: Counter[str] = Counter()
        self._release = anyio.Event()
        self._writers: set[asyncio.StreamWriter] = set()

    def release(self) -> None:
        """Let the held answers go on."""
        self._release.set()

    def hang_up(self) -> None:
        """Break every connection, so that no handler outlives the server."""
        for writer in self._writers:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """See one connection to its end; a client that is killed ends it in the middle."""
        self._writers.add(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                asked = json.loads(await reader.readexactly(_length(head)))
                await self._answer(writer, asked["messages"][-1]["content"], asked["model"])
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.transport.abort()
        finally:
            self._writers.discard(writer)

    async def _answer(self, writer: asyncio.StreamWriter, prompt: str, mood: str) -> None:
        self.asked += 1
        failure = self._failure(prompt) if mood == "flaky" else None
        if failure in REFUSALS:
            self.failed += 1
            writer.write(REFUSALS[failure])
            await writer.drain()
            return
        self.open += 1
        try:
            writer.write(HEAD)
            for number, text in enumerate(answer(prompt)):
                if number == CHUNKS // 2:
                    await self._pause(writer, prompt, mood)
                    if failure == "break":
                        self.failed += 1
                        writer.transport.abort()
                        raise ConnectionAbortedError
                writer.write(_framed(_chunk({"content": text}, None)))
                await writer.drain()
                await anyio.sleep(PACE)
            writer.write(_framed(_chunk({}, "stop")) + _framed("[DONE]") + b"0\r\n\r\n")
            await writer.drain()
        finally:
            self.open -= 1

    def _failure(self, prompt: str) -> str | None:
        # By the prompt and the number of its try, so that a run can be repeated.
        self._tries[prompt] += 1
        chance = random.Random(f"{prompt} {self._tries[prompt]}")  # noqa: S311 - it must be repeatable
        return chance.choice([*REFUSALS, "break"]) if chance.random() < FAILING else None

    async def _pause(self, writer: asyncio.StreamWriter, prompt: str, mood: str) -> None:
        if mood == "held":
            self.held += 1
            await self._release.wait()
        elif mood == "cut" and prompt not in self._cut:
            self._cut.add(prompt)
            writer.transport.abort()
            raise ConnectionAbortedError


@asynccontextmanager
async def serving() -> AsyncIterator[Model]:
    """Serve a model on a free port of the loopback interface inside the block.

    Yields:
        The model.
    """
    model = Model()
    server = await asyncio.start_server(model.serve, "127.0.0.1", 0, backlog=1024)
    model.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield model
    finally:
        server.close()
        model.release()
        model.hang_up()


def _length(head: bytes) -> int:
    lines = head.lower().split(b"\r\n")
    return int(next(line for line in lines if line.startswith(b"content-length")).split(b":")[1])


def _chunk(delta: dict[str, str], finish: str | None) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return json.dumps({"id": "c", "object": "chat.completion.chunk", "model": "m", "choices": [choice]})


def _framed(payload: str) -> bytes:
    event = f"data: {payload}\n\n".encode()
    return f"{len(event):x}\r\n".encode() + event + b"\r\n"
