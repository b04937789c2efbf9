"""A model for tests of the package's actors: it says what a function makes of the prompt, and notes what it was asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from wire import Connection, answer, serve

from jobs.follower import JobEvent, follow


class Model:
    """Answers prompts.

    Args:
        says: Makes an answer of a prompt: its text in one piece, or the status line of an error.
    """

    def __init__(self, says: Callable[[str], str]) -> None:
        self.says = says
        #: The prompts, in the order in which they came.
        self.asked: list[str] = []
        self.bodies: list[dict[str, Any]] = []
        #: While it is not set, prompts that `holds` is true of get no answer.
        self.go_on = anyio.Event()
        self.holds: Callable[[str], bool] = lambda _: False
        self.at_once = 0
        self.most_at_once = 0

    @property
    def times(self) -> Counter[str]:
        """How often each prompt has come."""
        return Counter(self.asked)

    async def handle(self, connection: Connection) -> None:
        body = connection.payload
        prompt = body["messages"][-1]["content"]
        self.bodies.append(body)
        self.asked.append(prompt)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await anyio.sleep(0.01)
        if self.holds(prompt):
            async with anyio.create_task_group() as group:
                for event in (self.go_on, connection.closed):
                    group.start_soon(_end_with, event, group.cancel_scope)
        self.at_once -= 1
        said = self.says(prompt)
        if said[:3].isdecimal():
            status, _, headers = said.partition("|")
            more = dict(line.split(": ") for line in headers.splitlines())
            connection.start(status, "application/json", **more)
            connection.send(b'{"error": {"message": "not this one", "type": "x"}}')
            connection.end()
        elif not connection.closed.is_set():
            connection.play(answer(*said))

    @asynccontextmanager
    async def serving(self, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
        """Let it be the provider inside the block."""
        async with serve(self.handle) as server:
            monkeypatch.setenv("OPENAI_BASE_URL", server.url)
            monkeypatch.setenv("AQUILA_MODEL", "m")
            yield server.url


async def _end_with(event: anyio.Event, scope: anyio.CancelScope) -> None:
    await event.wait()
    scope.cancel()


async def followed(job_id: str) -> list[JobEvent]:
    """All that a job says."""
    with anyio.fail_after(20):
        async with follow(job_id) as events:
            return [event async for event in events]


def text_of(events: list[JobEvent]) -> str:
    """What a reader of the live stream has read."""
    text = ""
    for event in events:
        text = "" if event.type == "attempt" else text + event.text
    return text
