"""How a worker's attempts reach their live streams: each writes into its own channel, one task sends for all."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Awaitable, Callable
from itertools import groupby
from typing import Any

import anyio
import redis

from jobs.claims import Claim
from jobs.errors import StorageError
from jobs.live import (
    APPEND,
    FRAGMENTS,
    LOST,
    STALE,
    TOTALS,
    Entry,
    Terminal,
    append_args,
    compact_args,
)
from jobs.snapshot import COMPACT

logger = logging.getLogger("jobs")

#: Seconds that fragments wait for one another.
INTERVAL = 0.025
#: Seconds that a channel may be sent too early, together with others. All at once would make the last one wait for all.
SPREAD = 0.01
#: Seconds to leave Redis alone after it did not answer.
PAUSE = 0.5


class Channel:
    """One attempt's way into its job's stream. Writing never waits and never fails."""

    def __init__(self, held: Claim, notify: Callable[[Channel, bool], None]) -> None:
        self.held = held
        #: Set when a newer attempt owns the stream.
        self.stale = False
        #: What has to be said again because Redis lost it, or was never told.
        self.lost = False
        self.opened = False
        self.pending: list[Entry] = []
        self._notify = notify
        #: The fragments of the answers, in the order in which they came.
        self._chunks: list[dict[str, Any]] = []
        #: What has been begun to be said.
        self._begun: set[tuple[str, Any, Any]] = set()

    @property
    def text(self) -> str:
        """The text of the attempt so far: what its runs said, in the order in which it came."""
        return "".join([data["text"] for data in self._chunks])

    def append(self, type_: str, data: dict[str, Any]) -> None:
        """Add an event. The first of its kind goes out at once, further fragments in batches."""
        entry = Entry(type_, self.held.job.attempt, data)
        if type_ == "chunk":
            self._chunks.append(data)
        urgent = True
        if type_ in FRAGMENTS or type_ in TOTALS:
            urgent = entry.source not in self._begun
            self._begun.add(entry.source)
        if type_ in TOTALS:
            self.pending = [known for known in self.pending if known.source != entry.source]
        if not (self.pending and self.pending[-1].absorb(entry)):
            self.pending.append(entry)
        self._notify(self, urgent)

    def take(self) -> list[Entry]:
        """Take what is to be sent next: the pending events, behind a new beginning if readers need one."""
        entries, self.pending = self.pending, []
        attempt = self.held.job.attempt
        begin = Entry("attempt", attempt, {"attempt": attempt})
        if not self.lost:
            return entries if self.opened else [begin, *entries]
        # All of the text is said again, so that a reader who starts over misses none and reads none twice.
        return [begin, *self._all_chunks(), *(entry for entry in entries if entry.type != "chunk")]

    def _all_chunks(self) -> list[Entry]:
        attempt = self.held.job.attempt
        runs = groupby(self._chunks, key=lambda data: data.get("run"))
        named = ((run, "".join([data["text"] for data in chunks])) for run, chunks in runs)
        return [
            Entry("chunk", attempt, {"text": text} if run is None else {"run": run, "text": text})
            for run, text in named
        ]


class LiveWriter:
    """Sends the channels' events: in one pipeline for all that are due, each channel's 25 ms after they came."""

    def __init__(
        self,
        client: Any,
        *,
        is_held: Callable[[Claim], Awaitable[bool]],
        ttl: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare the writer.

        Args:
            client: An asynchronous Redis client.
            is_held: Asks the row whether a claim still stands.
            ttl: Seconds to keep a stream after the end of its job.
            clock: Seconds that only go forward.
        """
        self._client = client
        self._is_held = is_held
        self._ttl = ttl
        self._clock = clock
        #: Channels with something to send, and when it is due.
        self._dirty: dict[Channel, float] = {}
        self._work = anyio.Event()
        self._hurry = anyio.Event()
        self._sending = anyio.Lock()

    def open(self, held: Claim) -> Channel:
        """Start an attempt's part of the stream; readers learn that they begin anew."""
        channel = Channel(held, self._notify)
        self._notify(channel, True)
        return channel

    @property
    def waiting(self) -> int:
        """How many streams have something to send; any thread may ask."""
        return len(self._dirty)

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            await self._work.wait()
            self._work, self._hurry = anyio.Event(), anyio.Event()
            if not self._dirty:
                continue
            with anyio.move_on_after(max(0.0, min(self._dirty.values()) - self._clock())):
                await self._hurry.wait()
            sent = await self.send_due()
            if self._dirty:
                self._work.set()
            if not sent:
                await anyio.sleep(PAUSE)

    async def send_due(self) -> bool:
        """Send what has waited long enough; False if Redis did not answer."""
        return await self._send(self._clock() + SPREAD)

    async def flush(self) -> bool:
        """Send all that is pending; False if Redis did not answer, and then it is said again later."""
        return await self._send(math.inf)

    async def _send(self, until: float) -> bool:
        async with self._sending:
            channels = [channel for channel, due in self._dirty.items() if due <= until]
            for channel in channels:
                del self._dirty[channel]
            batch = [
                (channel, args) for channel in channels if (args := await self._next(channel)) is not None
            ]
            try:
                answers = await APPEND.arun_all(self._client, [args for _, args in batch])
            except (redis.RedisError, OSError) as error:
                logger.warning("live events wait: %s", error)
                answers = [error] * len(batch)
            for (channel, _), answer in zip(batch, answers, strict=True):
                self._take_answer(channel, answer)
        return not any(isinstance(answer, Exception) for answer in answers)

    async def end(self, channel: Channel, terminal: Terminal, data: dict[str, Any]) -> None:
        """Send what is pending and the event that ends the stream, and join its fragments for late readers.

        If Redis is away, readers learn the end from the row.

        Args:
            channel: The attempt's; its outcome is stored, so that nobody else can have had the job.
            terminal: How the job ended.
            data: What to say of it.
        """
        async with self._sending:
            self._dirty.pop(channel, None)
            if channel.stale:
                return
            try:
                if await self._append_end(channel, terminal, data) == LOST:
                    # Redis was emptied since the last append. The outcome is stored, so nobody else can have had the
                    # job, and all of it is said again.
                    channel.lost = True
                    await self._append_end(channel, terminal, data)
            except (redis.RedisError, OSError) as error:
                logger.warning(
                    "job %s: readers learn its end from the row: %s", channel.held.job.job_id, error
                )
                return
        await self._compact(channel)

    async def _append_end(self, channel: Channel, terminal: Terminal, data: dict[str, Any]) -> int:
        job = channel.held.job
        opens = channel.lost or not channel.opened
        entries = [*channel.take(), Entry(terminal, job.attempt, data)]
        args = append_args(job.job_id, job.epoch, entries, opens=opens, ends=True, ttl=self._ttl)
        return int(await APPEND.arun(self._client, args))

    async def _compact(self, channel: Channel) -> None:
        try:
            await COMPACT.arun(self._client, compact_args(*channel.held.key))
        except (redis.RedisError, OSError) as error:
            logger.warning("job %s: its live stream stays in pieces: %s", channel.held.job.job_id, error)

    def _notify(self, channel: Channel, urgent: bool) -> None:  # noqa: FBT001 - a callback of one use
        if channel.stale:
            channel.pending.clear()
            return
        now = self._clock()
        if urgent:
            self._dirty[channel] = now
            self._hurry.set()
        else:
            self._dirty.setdefault(channel, now + INTERVAL)
        self._work.set()

    async def _next(self, channel: Channel) -> list[Any] | None:
        # Redis was flushed, replaced or away. That is no lost lease, but it may be one: the row knows.
        if channel.lost and not await self._still_held(channel):
            return None
        job = channel.held.job
        opens = channel.lost or not channel.opened
        return append_args(job.job_id, job.epoch, channel.take(), opens=opens)

    async def _still_held(self, channel: Channel) -> bool:
        try:
            channel.stale = not await self._is_held(channel.held)
        except StorageError as error:
            logger.warning("job %s: live events wait for the row: %s", channel.held.job.job_id, error)
            self._notify(channel, False)
            return False
        return not channel.stale

    def _take_answer(self, channel: Channel, answer: Any) -> None:
        if answer == STALE:
            channel.stale = True
            channel.pending.clear()
        elif answer == LOST or isinstance(answer, Exception):
            channel.lost = True
            self._notify(channel, False)
        else:
            channel.opened, channel.lost = True, False
