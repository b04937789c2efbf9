"""A chat completions server that costs its readers nothing but reading; it runs in a process of its own.

The model's name says how the answer comes: `2000@0` is 2,000 chunks in one write, `11@100` is 11 chunks 100 ms apart, the
first at once. The text of a timed chunk is the moment at which it was written, so that a reader can tell how late it is.
"""

from __future__ import annotations

import asyncio
import json
import re
import resource
import ssl
import sys
import time
from functools import lru_cache
from pathlib import Path
from typing import cast

import trustme

_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
)
_SHAPE = re.compile(rb'"model": ?"(\d+)@(\d+)"')
_LENGTH = re.compile(rb"(?im)^content-length: *(\d+)")
_USAGE = {"prompt_tokens": 9, "completion_tokens": 20, "total_tokens": 29}


def _frame(payload: str) -> bytes:
    event = f"data: {payload}\n\n".encode()
    return f"{len(event):x}\r\n".encode() + event + b"\r\n"


def _payload(delta: dict[str, str], finish: str | None = None) -> str:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return json.dumps(
        {"id": "chatcmpl-AqUiLa0000000000000000000001", "object": "chat.completion.chunk", "created": 1795500000,
         "model": "m", "service_tier": "default", "system_fingerprint": "fp_0000000001", "choices": [choice],
         "usage": None}
    )  # fmt: skip


_CHUNK = _payload({"content": "TEXT"})


def _chunk(text: str) -> bytes:
    return _frame(_CHUNK.replace("TEXT", text))


def _tail(body: bytes) -> bytes:
    frames = [_frame(_payload({}, "stop"))]
    if b"include_usage" in body:
        last = json.loads(_payload({})) | {"choices": [], "usage": _USAGE}
        frames.append(_frame(json.dumps(last)))
    return b"".join(frames) + _frame("[DONE]") + b"0\r\n\r\n"


@lru_cache
def _burst(chunks: int) -> bytes:
    return _HEAD + b"".join(_chunk(f" token{number}") for number in range(chunks))


class _Answering(asyncio.Protocol):
    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._buffer = b""
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        size = int(length[1]) if length else 0
        if not found or len(rest) < size:
            return
        self._buffer = rest[size:]
        self._answer(rest[:size])

    def _answer(self, body: bytes) -> None:
        shape = _SHAPE.search(body)
        chunks, pause = (int(shape[1]), int(shape[2]) / 1000) if shape else (1, 0.0)
        if not pause:
            self._transport.write(_burst(chunks) + _tail(body))
            return
        self._transport.write(_HEAD)
        self._tick(chunks, self._loop.time(), pause, body)

    def _tick(self, left: int, due: float, pause: float, body: bytes) -> None:
        self._transport.write(_chunk(f" {time.monotonic():.6f}"))
        if left == 1:
            self._transport.write(_tail(body))
            return
        self._timer = self._loop.call_at(due + pause, self._tick, left - 1, due + pause, pause, body)


def _tls(folder: Path) -> ssl.SSLContext:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    return context


async def main(folder: Path) -> None:
    loop = asyncio.get_running_loop()
    plain = await loop.create_server(_Answering, "127.0.0.1", 0, backlog=4096)
    secure = await loop.create_server(_Answering, "127.0.0.1", 0, backlog=4096, ssl=_tls(folder))
    ports = {"http": plain.sockets[0].getsockname()[1], "https": secure.sockets[0].getsockname()[1]}
    print(
        json.dumps({scheme: f"{scheme}://127.0.0.1:{port}/v1" for scheme, port in ports.items()}), flush=True
    )
    # Nobody writes to it: it becomes readable when the process that started this one has ended.
    ended = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), ended.set)
    async with plain, secure:
        await ended.wait()


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    asyncio.run(main(Path(sys.argv[1])))
