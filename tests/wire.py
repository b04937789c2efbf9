"""Wire bytes for tests, and a server that plays them over a real socket."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import anyio
from anyio.abc import TaskGroup


def event(payload: Any) -> bytes:
    """One server-sent event."""
    text = payload if isinstance(payload, str) else json.dumps(payload)
    return f"data: {text}\n\n".encode()


def delta(content: str | None = None, *, finish: str | None = None, **extra: Any) -> bytes:
    """One chat completion chunk."""
    fields = {"content": content} if content is not None else {}
    choice = {"index": 0, "delta": {**fields, **extra}, "finish_reason": finish}
    return event(
        {"id": "chatcmpl-1", "model": "m-2026", "object": "chat.completion.chunk", "choices": [choice]}
    )


def usage(prompt: int, completion: int) -> bytes:
    """The usage chunk."""
    counts = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return event({"id": "chatcmpl-1", "choices": [], "usage": counts})


DONE = event("[DONE]")


def answer(*texts: str) -> list[bytes]:
    """A whole streamed answer, one read for each event."""
    return [delta("", role="assistant"), *map(delta, texts), delta(finish="stop"), usage(7, len(texts)), DONE]


@dataclass
class Connection:
    """One request as the server saw it, and the means to answer it."""

    head: str
    body: bytes
    transport: asyncio.WriteTransport
    #: Set when the client has closed the connection.
    closed: anyio.Event

    @property
    def payload(self) -> Any:
        return json.loads(self.body)

    def start(self, status: str = "200 OK", kind: str = "text/event-stream", **headers: str) -> None:
        lines = [f"HTTP/1.1 {status}", f"content-type: {kind}", "transfer-encoding: chunked"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.transport.write(("\r\n".join(lines) + "\r\n\r\n").encode())

    def send(self, data: bytes) -> None:
        self.transport.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def end(self) -> None:
        self.transport.write(b"0\r\n\r\n")

    def play(self, chunks: list[bytes]) -> None:
        self.start()
        for chunk in chunks:
            self.send(chunk)
        self.end()


Handler = Callable[[Connection], Awaitable[None]]


@dataclass
class Server:
    """Where the server listens and what came in."""

    url: str = ""
    connections: list[Connection] = field(default_factory=list)
    #: Sockets accepted, so that reuse can be told.
    sockets: int = 0
    #: Sockets that are open now.
    open: int = 0


class _Protocol(asyncio.Protocol):
    def __init__(self, server: Server, handler: Handler, tasks: TaskGroup) -> None:
        self._server, self._handler, self._tasks = server, handler, tasks
        self._buffer = b""
        self._closed = anyio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)
        self._server.sockets += 1
        self._server.open += 1

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        length = re.search(rb"(?im)^content-length: *(\d+)", head)
        size = int(length.group(1)) if length else 0
        if found and len(rest) >= size:
            self._buffer = rest[size:]
            connection = Connection(head.decode(), rest[:size], self._transport, self._closed)
            self._server.connections.append(connection)
            self._tasks.start_soon(self._handler, connection)

    def connection_lost(self, error: Exception | None) -> None:
        self._server.open -= 1
        self._closed.set()


@asynccontextmanager
async def serve(handler: Handler) -> AsyncIterator[Server]:
    """Serve HTTP/1.1 on loopback; `handler` answers each request in a task of its own."""
    facts = Server()
    async with anyio.create_task_group() as tasks:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Protocol(facts, handler, tasks), "127.0.0.1", 0)
        facts.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        try:
            yield facts
        finally:
            server.close()
            for connection in facts.connections:
                connection.transport.abort()
            tasks.cancel_scope.cancel()
