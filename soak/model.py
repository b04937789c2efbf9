"""The model: streams forty chunks in about a second over a loopback socket, in the three moods that a job may ask for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from soak.actors import CHUNKS, answer

#: Seconds between two chunks.
PACE = 1.0 / CHUNKS
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


class Model:
    """Answers chat completions. `steady` is the usual mood.

    `cut` breaks the connection in the middle of a prompt's first answer; `held` waits in the middle until `release`.
    """

    def __init__(self) -> None:
        self.url = ""
        #: Answers that are being streamed.
        self.open = 0
        #: Answers that wait in the middle.
        self.held = 0
        #: Requests so far.
        self.asked = 0
        self._cut: set[str] = set()
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
        self.open += 1
        try:
            writer.write(HEAD)
            for number, text in enumerate(answer(prompt)):
                if number == CHUNKS // 2:
                    await self._pause(writer, prompt, mood)
                writer.write(_framed(_chunk({"content": text}, None)))
                await writer.drain()
                await anyio.sleep(PACE)
            writer.write(_framed(_chunk({}, "stop")) + _framed("[DONE]") + b"0\r\n\r\n")
            await writer.drain()
        finally:
            self.open -= 1

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
