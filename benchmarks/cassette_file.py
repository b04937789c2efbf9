"""The cassettes that are measured: an agent's conversation, request after request, each with a streamed answer.

Bodies are sent as they stand in the file, indented, so that a matcher of raw bytes finds them too.
"""

from __future__ import annotations

import json
from functools import lru_cache

from aquila.cassette.file.format import assemble, render
from aquila.cassette.interaction import Interaction, TimedChunk
from aquila.cassette.matching.match import request_key
from aquila.transport.base import Request

_URL = "https://api.example.test/v1/chat/completions"
#: With it, and what stands around it, a body has 2.8 kB.
_INSTRUCTIONS = "You are a careful assistant. Look things up before you answer, and name your sources. " * 24


def request(number: int) -> Request:
    """Give one of the requests; they differ in the last message and in the temperature."""
    body = {
        "model": "tiny",
        "messages": [
            {"role": "system", "content": _INSTRUCTIONS},
            {"role": "user", "content": f"What stands on page {number} of the book?"},
            {"role": "assistant", "content": "I have opened the book, and read the page to you.\n" * 6},
            {"role": "user", "content": f"Now tell me the {number * 7919 % 1000}th word of that page."},
        ],
        "temperature": number % 10 / 10,
        "stream": True,
    }
    text = json.dumps(body, indent=2, ensure_ascii=False)
    return Request(method="POST", url=_URL, headers={"content-type": "application/json"}, body=text.encode())


@lru_cache
def cassette(interactions: int, events: int, *, pause_ms: int = 20) -> bytes:
    """Write a cassette; every answer has as many events, in one chunk each."""
    return assemble(render(_interaction(number, events, pause_ms)) for number in range(interactions)).encode()


def _interaction(number: int, events: int, pause_ms: int) -> Interaction:
    sent = request(number)
    return Interaction(
        request=sent,
        key=request_key(sent),
        status=200,
        reason="OK",
        headers={"content-type": "text/event-stream"},
        chunks=tuple(
            TimedChunk((event + 1) * pause_ms, _event(f" token{number}.{event}")) for event in range(events)
        ),
        seq=number,
        head_ms=pause_ms,
        total_ms=events * pause_ms,
    )


def _event(text: str) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    payload = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "tiny-1", "choices": [choice]}
    return f"data: {json.dumps(payload)}\n\n".encode()
