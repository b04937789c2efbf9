"""The least that reading a stream can cost in Python: an asyncio protocol, a splitter, one typed decode.

No errors, no time-outs, no retries, no pool: not a client, but the bound that one is measured against.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable
from typing import cast
from urllib.parse import urlsplit

import msgspec


class _Delta(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    delta: _Delta


class _Payload(msgspec.Struct):
    choices: list[_Choice]


_decode = msgspec.json.Decoder(_Payload).decode


class _Reading(asyncio.Protocol):
    def __init__(self, request: bytes, each: Callable[[str], None]) -> None:
        self._request, self._each = request, each
        self._rest = b""
        self._head_seen = False
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._request)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_exception(exc or ConnectionError("the server closed the connection"))

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        at = 0
        if not self._head_seen:
            at = data.find(b"\r\n\r\n") + 4
            self._head_seen = at > 3  # noqa: PLR2004 - found
            if not self._head_seen:
                self._rest = data
                return
        # The server puts whole events into a frame, so that a frame needs no joining with the next.
        while (line := data.find(b"\r\n", at)) >= 0:
            size = int(data[at:line], 16)
            end = line + 2 + size
            if end + 2 > len(data):
                break
            at = end + 2
            if not size:
                self.ended.set_result(None)
                self._transport.close()
                return
            self._take(data[line + 2 : end])
        self._rest = data[at:]

    def _take(self, frame: bytes) -> None:
        for event in frame.split(b"\n\n"):
            if event.startswith(b"data: {"):
                payload = _decode(event[6:])
                if payload.choices and payload.choices[0].delta.content:
                    self._each(payload.choices[0].delta.content)


async def fetch(url: str, model: str, each: Callable[[str], None], context: ssl.SSLContext | None) -> None:
    """Ask once over a connection of its own."""
    parts = urlsplit(url)
    body = json.dumps(
        {"model": model, "messages": [{"role": "user", "content": "hi"}], "stream": True}
    ).encode()
    head = (
        f"POST {parts.path}/chat/completions HTTP/1.1\r\nhost: {parts.netloc}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    loop = asyncio.get_running_loop()
    transport, reading = await loop.create_connection(
        lambda: _Reading(head.encode() + body, each), parts.hostname or "", parts.port or 0, ssl=context
    )
    try:
        await reading.ended
    finally:
        transport.close()
