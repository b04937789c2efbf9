"""A job's events as the text of server-sent events. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable

from jobs.follower import JobEvent

#: A comment, so that proxies do not take silence for the end.
PING = b": ping\n\n"


def retry_hint(seconds: float) -> bytes:
    """Tell the browser how long to wait before it connects again."""
    return f"retry: {int(seconds * 1000)}\n\n".encode()


def event_text(events: Iterable[JobEvent]) -> bytes:
    """Write events: the cursor as `id`, the kind as `event`, the data as one line of JSON.

    Whatever a model says is inside JSON strings of plain ASCII, where no line of it can begin.
    """
    return b"".join(
        f"id: {event.cursor}\nevent: {event.type}\ndata: {json.dumps(event.data)}\n\n".encode()
        for event in events
    )
