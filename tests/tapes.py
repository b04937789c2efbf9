"""What the cassette tests share: requests, answers, and how a whole answer is read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from aquila.cassette import RecordTransport, ReplayTransport
from aquila.cassette.interaction import Interaction, TimedChunk
from aquila.cassette.matching.match import request_key
from aquila.errors import AquilaError
from aquila.testing import Answer, ScriptedResponse, ScriptedTransport
from aquila.transport.base import Request, Transport

URL = "https://api.example.test/v1/chat/completions"
KEY = "example-credential-0123456789"

HELLO = (
    b'data: {"model":"tiny-1","choices":[{"delta":{"content":"Gr\xc3\xbc"}}]}\n\n',
    'data: {"choices":[{"delta":{"content":"ße 🦅"}}]}\n\n'.encode(),
    b'data: {"choices":[],"usage":{"prompt_tokens":12,"completion_tokens":3}}\n\ndata: [DONE]\n\n',
)  # fmt: skip


def request(prompt: str = "Hello", **fields: Any) -> Request:
    body = {"model": "tiny", "messages": [{"role": "user", "content": prompt}], "stream": True, **fields}
    headers = {"content-type": "application/json", "authorization": f"Bearer {KEY}"}
    return Request(method="POST", url=URL, headers=headers, body=json.dumps(body).encode())


def scripted(*chunks: bytes | float | AquilaError, status: int = 200, **headers: str) -> ScriptedTransport:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return ScriptedTransport(
        Answer(status=status, headers={"content-type": "text/event-stream", **named}, chunks=chunks)
    )


def interaction(
    sent: Request | None = None,
    *,
    chunks: Sequence[tuple[int, bytes]] = ((22, b"data: [DONE]\n\n"),),
    **fields: Any,
) -> Interaction:
    sent = replace(sent or request(), headers={"content-type": "application/json"})
    return Interaction(
        **{
            "request": sent,
            "key": request_key(sent),
            "status": 200,
            "reason": "OK",
            "headers": {"content-type": "text/event-stream"},
            "chunks": tuple(TimedChunk(*chunk) for chunk in chunks),
            **fields,
        }
    )


async def read(transport: Transport, sent: Request) -> list[bytes]:
    """Send a request and read the answer to its end."""
    response = await transport.send(sent)
    try:
        return [chunk async for chunk in response.chunks]
    finally:
        await response.aclose()


async def record(path: Path, inner: Transport, *requests: Request) -> list[list[bytes]]:
    transport = RecordTransport(inner, path)
    return [await read(transport, sent) for sent in requests]


async def replay(path: Path, *requests: Request) -> list[list[bytes]]:
    transport = ReplayTransport(path)
    return [await read(transport, sent) for sent in requests]


class EchoTransport:
    """Answers each request with a stream about its own body, so that mixed-up answers show."""

    def __init__(self) -> None:
        self.sent = 0

    async def send(self, request: Request) -> ScriptedResponse:
        self.sent += 1
        return await scripted(*echoed(request, self.sent)).send(request)

    async def aclose(self) -> None:
        """Free nothing."""


def echoed(request: Request, serial: int) -> list[bytes]:
    digest = hashlib.sha256(request.body).hexdigest()
    return [f"data: {digest}\n\n".encode(), f"data: {serial}\n\n".encode(), b"data: [DONE]\n\n"]
