"""Runs of several rounds against a script, for tests: one answer for each request, and what each request said."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from aquila.errors import AquilaError
from aquila.events import Event
from aquila.retry import Retry
from aquila.streams import Stream
from aquila.testing import Answer, ScriptedTransport

#: Pauses that cost a test nothing.
QUICK = Retry(min_backoff=0.001, max_backoff=0.001)


def scripted(*answers: Sequence[bytes | float | AquilaError] | Answer | AquilaError) -> ScriptedTransport:
    """Answer one request after the other; the last answer is repeated."""
    return ScriptedTransport(
        *(item if isinstance(item, Answer | AquilaError) else Answer(chunks=item) for item in answers)
    )


def refusal(status: int, message: str, **error: Any) -> Answer:
    """Refuse a request with a JSON body."""
    body = json.dumps({"error": {"message": message, **error}}).encode()
    return Answer(status=status, headers={"content-type": "application/json"}, chunks=[body])


def bodies(transport: ScriptedTransport) -> list[Any]:
    """What the requests said, in order."""
    return [json.loads(request.body) for request in transport.requests]


async def events_of(stream: Stream[Any]) -> list[Event]:
    """Read a run to its end, whatever it is, and give what came."""
    events: list[Event] = []
    try:
        async for event in stream:
            events.append(event)  # noqa: PERF401 - what came before an error is wanted too
    except AquilaError:
        pass
    return events
