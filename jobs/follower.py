"""`follow`: what a job has said, what it says, and how it ended; from any process."""

from __future__ import annotations

import json
import logging
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Self

import anyio
import redis
from anyio import to_thread

from jobs import rows
from jobs.broker import Runtime, runtime
from jobs.live import TERMINAL, stream_key
from jobs.redis_client import connect_async
from jobs.rows import Job

logger = logging.getLogger("jobs")

#: Milliseconds a read waits for news; then the row is looked at.
BLOCK_MS = 1000
#: Events taken in one read.
BATCH = 500
#: How the end of a job in each state is called.
_ENDS = {"completed": "done", "discarded": "failed", "cancelled": "cancelled"}


@dataclass(frozen=True, slots=True)
class JobEvent:
    """One thing a job said.

    `attempt` begins an attempt: text of earlier ones is void. `chunk` and `reasoning_chunk` carry text; `status`,
    `retry`, `run_started`, `run_done` and others are news. `done`, `failed` and `cancelled` end the job.
    """

    #: Pass it as `after` to go on behind this event.
    cursor: str
    #: The attempt that said it.
    attempt: int
    type: str
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The text of a `chunk`; empty for everything else."""
        return str(self.data["text"]) if self.type == "chunk" else ""

    @property
    def output(self) -> str | None:
        """The stored output, in the event that ends the job; None before."""
        return self.data.get("output") if self.ends else None

    @property
    def ends(self) -> bool:
        """Whether this is the last event."""
        return self.type in TERMINAL

    def to_dict(self) -> dict[str, Any]:
        """Give the event as JSON-ready values."""
        return {"type": self.type, "cursor": self.cursor, "attempt": self.attempt, "data": self.data}


class Follower:
    """An async iterator over a job's events; made by `follow`. Leaving never disturbs the job.

    Iterating raises JobNotFound, StorageError if the database failed, and ConfigError if the jobs cannot be used as
    configured.
    """

    def __init__(self, job_id: str, *, after: str | None, used: Runtime) -> None:
        self._job_id = job_id
        self._cursor = after or "0-0"
        self._runtime = used
        self._client: Any = None
        self._ready: deque[JobEvent] = deque()
        self._over = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> JobEvent:
        while not self._ready:
            if self._over:
                raise StopAsyncIteration
            try:
                await self._read()
            except BaseException:
                await self.aclose()
                raise
        event = self._ready.popleft()
        self._cursor = event.cursor
        if event.ends:
            self._over = True
            await self.aclose()
        return event

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connection. May be called twice."""
        client, self._client = self._client, None
        if client is not None:
            with anyio.CancelScope(shield=True):
                await client.aclose()

    async def _read(self) -> None:
        first = self._client is None
        job = await self._row() if first else None
        # An ended job's stream is read once more: its last events may have come just before the row's end.
        block = None if job is not None and job.ended else BLOCK_MS
        events = await self._said(block)
        if not events or events[-1].ends:
            job = await self._row()
        last = events.pop() if events and events[-1].ends else None
        self._ready.extend(events)
        if job is not None and job.ended and (last is not None or not events):
            self._ready.append(_ending(job, last.cursor if last else self._cursor))
        elif last is not None:
            # It was sent to run again since; what follows is in a new stream.
            self._cursor = last.cursor

    async def _said(self, block: int | None) -> list[JobEvent]:
        try:
            if self._client is None:
                self._client = connect_async(await to_thread.run_sync(self._runtime.redis_url))
            answer = await self._client.xread(
                {stream_key(self._job_id): self._cursor}, count=BATCH, block=block
            )
        except (redis.RedisError, OSError) as error:
            # The row still says how it ends.
            logger.warning("job %s is followed by its row alone: %s", self._job_id, error)
            if block is not None:
                await anyio.sleep(block / 1000)
            return []
        entries = _entries(answer)
        events = [_event(key.decode(), fields) for key, fields in entries]
        ends = next((index for index, event in enumerate(events) if event.ends), None)
        return events if ends is None else events[: ends + 1]

    async def _row(self) -> Job:
        database = await to_thread.run_sync(self._runtime.database)
        return await database.aread(rows.get, self._job_id)


def follow(job_id: str, *, after: str | None = None) -> Follower:
    """Follow a job: first what was missed, then what comes, last its end with the stored output.

    Use it as `async with jobs.follow(job_id) as events: async for event in events: ...`; the bare `async for` is
    allowed where the loop runs to its end. Nothing is opened before the first event is asked for.

    Args:
        job_id: The job.
        after: The cursor of the last event seen; None begins at the start.

    Raises:
        ConfigError: The environment has a value that cannot be used.
    """
    return Follower(job_id, after=after, used=runtime())


def _ending(job: Job, cursor: str) -> JobEvent:
    last = job.errors[-1] if job.errors and job.state == "discarded" else {}
    data = {
        "state": job.state,
        "output": job.output,
        "model": job.model,
        "finish_reason": job.finish_reason,
        "usage": job.usage,
        "error": last.get("error"),
        "message": last.get("message"),
    }
    return JobEvent(cursor, job.attempt, _ENDS[job.state], data)


def _entries(answer: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:
    if not answer:
        return []
    # One stream was asked for: a mapping in RESP3, a list of pairs in RESP2.
    batch = next(iter(answer.values()))[0] if isinstance(answer, dict) else answer[0][1]
    return list(batch)


def _event(cursor: str, fields: dict[bytes, bytes]) -> JobEvent:
    return JobEvent(cursor, int(fields[b"a"]), fields[b"k"].decode(), json.loads(fields[b"d"]))
