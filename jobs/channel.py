"""How a worker's attempts reach their live streams: each writes into its own channel, one task sends for all."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import anyio
import redis

from jobs.claims import Claim
from jobs.errors import StorageError
from jobs.live import (
    APPEND_ALL,
    APPENDED,
    LOST,
    REFUSED,
    SAFETY_TTL,
    STALE,
    Append,
    Entry,
    Terminal,
    append_all_args,
    compact_args,
)
from jobs.snapshot import COMPACT
from jobs.unsent import Unsent

logger = logging.getLogger("jobs")

#: Seconds that fragments wait for one another: with few streams, for each stream that waits, and at most. What is sent
#: together is cheaper, which matters only where there is much.
INTERVAL, FOR_EACH, LONGEST = 0.025, 0.0001, 0.03
#: Seconds that a channel may be sent too early, together with others. All at once would make the last one wait for all.
SPREAD = 0.01
#: Seconds between two commands, however urgent.
GAP = 0.004
#: Streams in one command: Redis does nothing else meanwhile, and this takes it about a millisecond.
AT_ONCE = 256
#: Streams that are joined at the same time: each holds Redis up for a moment, and what is live goes first.
COMPACTIONS = 4
#: Seconds to leave Redis alone after it did not answer.
PAUSE = 0.5
#: Seconds after which the time that a stream is kept is set anew.
KEEP_EVERY = 3_600.0


class Channel(Unsent):
    """One attempt's way into its job's stream. Writing never waits and never fails."""

    __slots__ = ("_notify", "answer", "held", "kept_until", "stale")

    def __init__(self, held: Claim, notify: Callable[[Channel, bool], None]) -> None:
        super().__init__(held.job.attempt)
        self.held = held
        #: Set when a newer attempt owns the stream.
        self.stale = False
        #: What Redis answered to the end of the stream.
        self.answer: int | None = None
        #: Until when the stream is known to be kept, on the writer's clock.
        self.kept_until = 0.0
        self._notify = notify

    def changed(self, *, urgent: bool) -> None:
        """Tell the writer."""
        self._notify(self, urgent)


class LiveWriter:
    """Sends the channels' events: in one command for all that are due, each channel's 25 to 30 ms after they came."""

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
        self._ttl = max(1, int(ttl))
        self._clock = clock
        #: Channels with something to send, and when it is due.
        self._dirty: dict[Channel, float] = {}
        self._sent = -math.inf
        self._work = anyio.Event()
        self._hurry = anyio.Event()
        #: Set at the end of the present round of sending; None between two.
        self._busy: anyio.Event | None = None
        self._compacting = anyio.Semaphore(COMPACTIONS)

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
            if (gap := self._sent + GAP - self._clock()) > 0:
                await anyio.sleep(gap)
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

    async def end(self, channel: Channel, terminal: Terminal, data: dict[str, Any]) -> None:
        """Send what is pending and the event that ends the stream, and join its fragments for late readers.

        If Redis is away, readers learn the end from the row.

        Args:
            channel: The attempt's; its outcome is stored, so that nobody else can have had the job.
            terminal: How the job ended.
            data: What to say of it.
        """
        channel.ending = Entry(terminal, channel.attempt, data)
        # Redis may have been emptied since the last append. The outcome is stored, so nobody else can have had the job,
        # and all of it is said again.
        for _ in range(2):
            channel.answer = None
            self._notify(channel, True)
            while channel.answer is None and not channel.stale:
                # Of many that end at a time the first sends for all of them.
                if self._busy is not None:
                    await self._busy.wait()
                else:
                    await self._round(self._clock())
            if channel.answer != LOST:
                break
        if channel.answer == APPENDED:
            await self._compact(channel)

    async def _send(self, until: float) -> bool:
        while self._busy is not None:
            await self._busy.wait()
        return await self._round(until)

    async def _round(self, until: float) -> bool:
        self._busy = busy = anyio.Event()
        answers: list[int] = []
        try:
            self._sent = self._clock()
            due = [channel for channel, at in self._dirty.items() if at <= until]
            ready = [channel for channel in due if not channel.lost or await self._may_go_on(channel)]
            for start in range(0, len(ready), AT_ONCE):
                answers += await self._append(ready[start : start + AT_ONCE])
        finally:
            self._busy = None
            busy.set()
        return REFUSED not in answers

    async def _append(self, channels: Sequence[Channel]) -> list[int]:
        for channel in channels:
            del self._dirty[channel]
        appends = [self._next(channel) for channel in channels]
        answers = [REFUSED] * len(channels)
        try:
            answers = await APPEND_ALL.arun(self._client, append_all_args(appends))
        except (redis.RedisError, OSError) as error:
            logger.warning("live events wait: %s", error)
        finally:
            # A cancel too leaves it open what Redis was told.
            for channel, append, answer in zip(channels, appends, answers, strict=True):
                self._take_answer(channel, answer, ended=append.ends)
        return answers

    def _next(self, channel: Channel) -> Append:
        job, ends = channel.held.job, channel.ending is not None
        opens = channel.lost or not channel.opened
        ttl = self._ttl if ends else 0
        if not ends and (opens or self._sent >= channel.kept_until):
            ttl, channel.kept_until = SAFETY_TTL, self._sent + KEEP_EVERY
        return Append(job.job_id, job.epoch, channel.take(), opens, ends, ttl)

    def _take_answer(self, channel: Channel, answer: int, *, ended: bool) -> None:
        if ended:
            channel.answer = answer
        if answer == STALE:
            channel.stale = True
            channel.pending.clear()
        elif answer == APPENDED:
            channel.opened, channel.lost = True, False
        else:
            channel.lost = True
            if not ended:
                self._notify(channel, False)
            elif answer == REFUSED:
                logger.warning("job %s: readers learn its end from the row", channel.held.job.job_id)

    def _notify(self, channel: Channel, urgent: bool) -> None:  # noqa: FBT001 - a callback of one use
        if channel.stale:
            channel.pending.clear()
            return
        if not self._dirty:
            self._work.set()
        now = self._clock()
        if urgent:
            self._dirty[channel] = now
            self._hurry.set()
        else:
            self._dirty.setdefault(channel, now + waiting_time(len(self._dirty)))

    async def _may_go_on(self, channel: Channel) -> bool:
        """Ask the row: Redis was flushed, replaced or away. That is no lost lease, but it may be one."""
        if channel.ending is not None:
            return True
        try:
            channel.stale = not await self._is_held(channel.held)
        except StorageError as error:
            logger.warning("job %s: live events wait for the row: %s", channel.held.job.job_id, error)
            self._dirty[channel] = self._clock() + INTERVAL
            return False
        if channel.stale:
            channel.pending.clear()
            del self._dirty[channel]
        return not channel.stale

    async def _compact(self, channel: Channel) -> None:
        try:
            async with self._compacting:
                await COMPACT.arun(self._client, compact_args(*channel.held.key))
        except (redis.RedisError, OSError) as error:
            logger.warning("job %s: its live stream stays in pieces: %s", channel.held.job.job_id, error)


def waiting_time(streams: int) -> float:
    """Give the seconds that fragments wait for one another while so many streams have something to say."""
    return min(LONGEST, max(INTERVAL, FOR_EACH * streams))
