"""Counts Python's function calls for each chunk: the one measure of speed that is the same on every machine.

Counted are calls of Python functions and of C functions, as `sys.setprofile` tells them. A run of twice the length
counts twice, so that what a run costs once falls out. The server answers from a thread, whose calls are not counted.
"""

from __future__ import annotations

import re
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Self

import aquila
from aquila.transport import openai_transport
from tests.wire import DONE, delta

#: Seconds after which a server whose client has gone ends by itself.
_PATIENCE = 10.0
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def frame(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def answer(connection: socket.socket, turn: threading.Lock) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    request = b""
    while data := connection.recv(65536):
        request += data
        if not (asked := re.search(rb'"model": ?"(\d+) (one by one|at once)"', request)):
            continue
        request = b""
        chunks = [frame(delta(f" token{number}")) for number in range(int(asked[1]))]
        end = frame(delta(finish="stop")) + frame(DONE) + b"0\r\n\r\n"
        if asked[2] == b"at once":
            connection.sendall(_HEAD + b"".join(chunks) + end)
            continue
        connection.sendall(_HEAD)
        for chunk in chunks:
            connection.sendall(chunk)
            turn.acquire(timeout=_PATIENCE)
        connection.sendall(end)


@contextmanager
def served(turn: threading.Lock) -> Iterator[str]:
    """Give the URL of a server that writes a next chunk when `turn` is free, so that no two come in one read."""
    connections: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(_PATIENCE)

        def serve() -> None:
            # A client that never comes, or leaves in the middle, is reported by the test itself.
            with suppress(OSError):
                connections.append(listener.accept()[0])
                connections[0].settimeout(_PATIENCE)
                answer(connections[0], turn)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        thread.join()
        for connection in connections:
            connection.close()


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


async def read(url: str, model: str, turn: threading.Lock) -> int:
    chunks = 0
    stepwise = model.endswith("one by one")
    async with aquila.stream("hi", base_url=url, model=model) as stream:
        async for event in stream:
            if isinstance(event, aquila.Chunk):
                chunks += 1
                if stepwise:
                    turn.release()
    return chunks


async def calls_per_chunk(url: str, way: str, chunks: int, turn: threading.Lock) -> float:
    assert await read(url, f"20 {way}", turn) == 20
    with Calls() as short:
        assert await read(url, f"{chunks} {way}", turn) == chunks
    with Calls() as long:
        assert await read(url, f"{2 * chunks} {way}", turn) == 2 * chunks
    return (long.count - short.count) / chunks


async def test_one_chunk_a_read_costs_few_calls() -> None:
    turn = threading.Lock()
    turn.acquire()

    with served(turn) as url:
        calls = await calls_per_chunk(url, "one by one", 100, turn)
        await openai_transport().aclose()

    # The call that lets the server go on is the test's own.
    assert calls - 1 <= 130


async def test_a_burst_costs_few_calls() -> None:
    turn = threading.Lock()

    with served(turn) as url:
        calls = await calls_per_chunk(url, "at once", 1000, turn)
        await openai_transport().aclose()

    assert calls <= 31
