"""`follow`: what a job has said, what it says, and how it ended; from any process."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Self

from anyio import to_thread

from jobs import rows
from jobs.broker import runtime
from jobs.cursor import Cursor, Position, format_position, parse_cursor
from jobs.hub import hub_at
from jobs.live import TERMINAL, fence_key, stream_key
from jobs.rows import Job
from jobs.runtime import Runtime
from jobs.subscription import Subscription
from jobs.tail import Record

#: Seconds of silence until the row is looked at: at first, and at most. The row is needed only if the stream was lost.
SILENCE = 1.0
LONGEST_SILENCE = 5.0
#: Seconds that a job's last words may come after its row has ended, which is written first: if Redis knows nothing of an
#: attempt, and if it knows that one has not ended there, as behind a worker that is busy. One that has died says no more.
LAST_WORDS = 0.2
BUSY_WORDS = 10.0
#: How the end of a job in each state is called.
_ENDS = {"completed": "done", "discarded": "failed", "cancelled": "cancelled"}


@dataclass(frozen=True, slots=True)
class JobEvent:
    """One thing a job said.

    `attempt` begins an attempt: text of earlier ones is void. `chunk` and `reasoning_chunk` carry text; `status`,
    `retry`, `run_started`, `run_done` and others are news. `done`, `failed` and `cancelled` end the job.

    The texts of an attempt's chunks, one after the other, are the job's text. An actor that has several runs at once mixes
    them in it: `run` tells them apart.
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
    def run(self) -> str | None:
        """The name of the run that said it, as in `Stream.ref`; None for what the job itself says."""
        name = self.data.get("run")
        return name if isinstance(name, str) else None

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

    def __init__(self, job_id: str, *, after: Cursor, used: Runtime) -> None:
        self._job_id = job_id
        self._place = after.position
        self._runtime = used
        self._subscription: Subscription | None = None
        self._job: Job | None = None
        #: Whether the row has ended without the stream's having said so, which was waited for.
        self._silent = False
        self._patience = SILENCE
        self._ready: deque[JobEvent] = deque()
        self._over = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> JobEvent:
        await self._fill()
        if not self._ready:
            raise StopAsyncIteration
        return self._ready.popleft()

    async def read_events(self) -> list[JobEvent]:
        """Give the events that have come with the last read, which are one or many; none at the end.

        For readers that hand events on in batches; `async for` gives them one by one.

        Raises:
            JobNotFound: There is no such job.
            StorageError: The database failed.
            ConfigError: The jobs cannot be used as configured.
        """
        await self._fill()
        events = list(self._ready)
        self._ready.clear()
        return events

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Leave the stream. May be called twice."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            await subscription.aclose()

    async def _fill(self) -> None:
        try:
            while not self._ready and not self._over:
                await self._read()
        except BaseException:
            await self.aclose()
            raise
        if self._over:
            await self.aclose()

    async def _read(self) -> None:
        if self._subscription is None:
            self._job = await self._row()
            url = await to_thread.run_sync(self._runtime.redis_url)
            self._subscription = Subscription(hub_at(url), stream_key(self._job_id), self._place)
        records, last = _until_end(await self._said(self._subscription))
        self._ready.extend(_event(record) for record in records)
        if last is not None:
            # It is as far as this reader has come; an end that a retry has undone is not told.
            records.append(last)
            self._subscription.position = last.position
        if records:
            self._place = records[-1].position
        if last is None and records:
            self._silent, self._patience = False, SILENCE
            return
        self._job = await self._row()
        if not self._job.ended:
            self._silent = False
        elif last is not None or self._silent:
            self._ready.append(_ending(self._job, self._place))
            self._over = True
        else:
            self._silent = True

    async def _said(self, subscription: Subscription) -> list[Record]:
        if self._job is None or not self._job.ended:
            patience = SILENCE if subscription.away else self._patience
            self._patience = min(LONGEST_SILENCE, 1.5 * patience)
            return await subscription.read(patience)
        if self._silent:
            busy = await subscription.is_unfinished(fence_key(self._job_id))
            return (
                await subscription.read(BUSY_WORDS if busy else LAST_WORDS) or await subscription.read_now()
            )
        return await subscription.read_now()

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
        ConfigError: The environment has a value that cannot be used, or `after` is no cursor.
    """
    return Follower(job_id, after=parse_cursor(after), used=runtime())


def _until_end(records: list[Record]) -> tuple[list[Record], Record | None]:
    """Give the records before the first that ends the stream, and that one."""
    for index, record in enumerate(records):
        if record.kind in TERMINAL:
            return records[:index], record
    return records, None


def _ending(job: Job, place: Position) -> JobEvent:
    last = job.errors[-1] if job.errors and job.state == "discarded" else {}
    data = {
        "state": job.state,
        "output": job.output,
        # What the actor returned; a text is the output already, and is not said twice.
        "result": None if job.result == job.output else job.result,
        "model": job.model,
        "finish_reason": job.finish_reason,
        "usage": job.usage,
        "error": last.get("error"),
        "message": last.get("message"),
        "reason": job.reason,
    }
    return JobEvent(str(Cursor(place, ended=job.attempt)), job.attempt, _ENDS[job.state], data)


def _event(record: Record) -> JobEvent:
    cursor = format_position(record.position)
    return JobEvent(cursor, record.attempt, record.kind, json.loads(record.data))
