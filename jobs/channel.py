"""How a worker's attempts reach their live streams: each writes into its own channel, one task sends for all."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import redis

from jobs.claims import Claim
from jobs.errors import StorageError
from jobs.live import LOST, STALE, Entry, Terminal, append_args

logger = logging.getLogger("jobs")

#: Seconds that fragments wait for one another.
INTERVAL = 0.025
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
        self._text: list[str] = []

    @property
    def text(self) -> str:
        """The text of the attempt so far."""
        return "".join(self._text)

    def append(self, type_: str, data: dict[str, Any]) -> None:
        """Add an event. The first of its kind goes out at once, further fragments in batches."""
        if type_ == "chunk":
            self._text.append(data["text"])
            urgent = len(self._text) == 1
        else:
            urgent = True
        if self.pending and self.pending[-1].absorb(type_, data):
            urgent = False
        else:
            self.pending.append(Entry(type_, self.held.job.attempt, data))
        self._notify(self, urgent)

    def take(self) -> list[Entry]:
        """Take what is to be sent next: the pending events, behind a new beginning if readers need one."""
        entries, self.pending = self.pending, []
        attempt = self.held.job.attempt
        begin = Entry("attempt", attempt, {"attempt": attempt})
        if not self.lost:
            return entries if self.opened else [begin, *entries]
        # All of the text is said again, so that a reader who starts over misses none and reads none twice.
        again = [Entry("chunk", attempt, {"text": self.text})] if self._text else []
        return [begin, *again, *(entry for entry in entries if entry.type != "chunk")]


class LiveWriter:
    """Sends the channels' events: one pipeline for all attempts of the process, at most every 25 ms."""

    def __init__(self, client: Any, *, is_held: Callable[[Claim], Awaitable[bool]], ttl: float) -> None:
        """Prepare the writer.

        Args:
            client: An asynchronous Redis client.
            is_held: Asks the row whether a claim still stands.
            ttl: Seconds to keep a stream after the end of its job.
        """
        self._client = client
        self._is_held = is_held
        self._ttl = ttl
        self._dirty: dict[Channel, None] = {}
        self._work = anyio.Event()
        self._hurry = anyio.Event()
        self._sending = anyio.Lock()

    def open(self, held: Claim) -> Channel:
        """Start an attempt's part of the stream; readers learn that they begin anew."""
        channel = Channel(held, self._notify)
        self._notify(channel, True)
        return channel

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            await self._work.wait()
            with anyio.move_on_after(INTERVAL):
                await self._hurry.wait()
            self._work, self._hurry = anyio.Event(), anyio.Event()
            if not await self.flush():
                await anyio.sleep(PAUSE)

    async def flush(self) -> bool:
        """Send what is pending; False if Redis did not answer, and then it is said again later."""
        async with self._sending:
            channels, self._dirty = list(self._dirty), {}
            batch = [
                (channel, args) for channel in channels if (args := await self._next(channel)) is not None
            ]
            try:
                answers = await self._send([args for _, args in batch])
            except (redis.RedisError, OSError) as error:
                logger.warning("live events wait: %s", error)
                answers = [error] * len(batch)
            for (channel, _), answer in zip(batch, answers, strict=True):
                self._take_answer(channel, answer)
        return not any(isinstance(answer, Exception) for answer in answers)

    async def end(self, channel: Channel, terminal: Terminal, data: dict[str, Any]) -> None:
        """Send what is pending and the event that ends the stream. If Redis is away, readers learn it from the row.

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

    async def _append_end(self, channel: Channel, terminal: Terminal, data: dict[str, Any]) -> int:
        job = channel.held.job
        opens = channel.lost or not channel.opened
        entries = [*channel.take(), Entry(terminal, job.attempt, data)]
        args = append_args(job.job_id, job.epoch, entries, opens=opens, ends=True, ttl=self._ttl)
        return int(await self._client.eval(*args))

    def _notify(self, channel: Channel, urgent: bool) -> None:  # noqa: FBT001 - a callback of one use
        if channel.stale:
            channel.pending.clear()
            return
        self._dirty[channel] = None
        self._work.set()
        if urgent:
            self._hurry.set()

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

    async def _send(self, batch: list[list[Any]]) -> list[Any]:
        pipe = self._client.pipeline(transaction=False)
        for args in batch:
            pipe.eval(*args)
        answers: list[Any] = await pipe.execute(raise_on_error=False)
        return answers

    def _take_answer(self, channel: Channel, answer: Any) -> None:
        if answer == STALE:
            channel.stale = True
            channel.pending.clear()
        elif answer == LOST or isinstance(answer, Exception):
            channel.lost = True
            self._notify(channel, False)
        else:
            channel.opened, channel.lost = True, False
