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
    FRAGMENTS,
    LOST,
    REFUSED,
    SAFETY_TTL,
    STALE,
    TOTALS,
    Append,
    Entry,
    Fragments,
    Source,
    Terminal,
    append_all_args,
    compact_args,
)
from jobs.snapshot import COMPACT

logger = logging.getLogger("jobs")

#: Seconds that fragments wait for one another: with few streams, for each stream that waits, and at most. What is sent
#: together is cheaper, which matters only where there is much.
INTERVAL, FOR_EACH, LONGEST = 0.025, 0.0001, 0.04
#: Seconds that a channel may be sent too early, together with others. All at once would make the last one wait for all.
SPREAD = 0.01
#: Seconds between two commands, however urgent.
GAP = 0.004
#: Streams in one command: Redis does nothing else meanwhile, and this takes it about a millisecond.
AT_ONCE = 256
#: Seconds to leave Redis alone after it did not answer.
PAUSE = 0.5
#: Seconds after which the time that a stream is kept is set anew.
KEEP_EVERY = 3_600.0


class Channel:
    """One attempt's way into its job's stream. Writing never waits and never fails."""

    __slots__ = (
        "_begun",
        "_notify",
        "_spoken",
        "answer",
        "ending",
        "held",
        "kept_until",
        "lost",
        "opened",
        "pending",
        "stale",
    )

    def __init__(self, held: Claim, notify: Callable[[Channel, bool], None]) -> None:
        self.held = held
        #: Set when a newer attempt owns the stream.
        self.stale = False
        #: What has to be said again because Redis lost it, or was never told.
        self.lost = False
        self.opened = False
        self.pending: list[Entry | Fragments] = []
        #: The event that ends the stream, once it is known.
        self.ending: Entry | None = None
        #: What Redis answered last.
        self.answer: int | None = None
        #: Until when the stream is known to be kept, on the writer's clock.
        self.kept_until = 0.0
        self._notify = notify
        #: The texts of the answers, in the order in which they came; each run's that follow one another under its name.
        self._spoken: list[tuple[str | None, list[str]]] = []
        #: What has been begun to be said. Most attempts of a worker wait, and an empty set is three times as large.
        self._begun: dict[Source, None] = {}

    @property
    def text(self) -> str:
        """The text of the attempt so far: what its runs said, in the order in which it came."""
        return "".join([text for _, texts in self._spoken for text in texts])

    def append(self, type_: str, data: dict[str, Any]) -> None:
        """Add an event. The first of its kind goes out at once, further fragments in batches."""
        if type_ in FRAGMENTS:
            self.add_text((type_, data.get("run"), data.get("call_id")), data["text"])
            return
        entry = Entry(type_, self.held.job.attempt, data)
        urgent = True
        if type_ in TOTALS:
            urgent = self._begins(entry.source)
            self.pending = [known for known in self.pending if known.source != entry.source]
        self.pending.append(entry)
        self._notify(self, urgent)

    def add_text(self, source: Source, text: str) -> None:
        """Add a fragment. There is one for each token, so what nearly all of them need stays free of calls.

        Args:
            source: What it is a piece of.
            text: The piece.
        """
        if source[0] == "chunk":
            spoken = self._spoken
            if spoken and spoken[-1][0] == source[1]:
                spoken[-1][1].append(text)
            else:
                spoken.append((source[1], [text]))
        pending = self.pending
        if pending:
            last = pending[-1]
            if type(last) is Fragments and last.source == source:
                # It is waited for already.
                last.texts.append(text)
                return
        pending.append(Fragments(source, self.held.job.attempt, [text]))
        self._notify(self, self._begins(source))

    def take(self) -> list[Entry | Fragments]:
        """Take what is to be sent next: the pending events, behind a new beginning if readers need one."""
        entries, self.pending = self.pending, []
        if self.ending is not None:
            entries.append(self.ending)
        if self.opened and not self.lost:
            return entries
        attempt = self.held.job.attempt
        begin = Entry("attempt", attempt, {"attempt": attempt})
        if not self.lost:
            return [begin, *entries]
        # All of the text is said again, so that a reader who starts over misses none and reads none twice.
        again = [Fragments(("chunk", run, None), attempt, texts) for run, texts in self._spoken]
        return [begin, *again, *(entry for entry in entries if entry.source[0] != "chunk")]

    def _begins(self, source: Source) -> bool:
        begins = source not in self._begun
        if begins:
            self._begun[source] = None
        return begins


class LiveWriter:
    """Sends the channels' events: in one command for all that are due, each channel's 25 to 40 ms after they came."""

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
        channel.ending = Entry(terminal, channel.held.job.attempt, data)
        # Redis may have been emptied since the last append. The outcome is stored, so nobody else can have had the job,
        # and all of it is said again.
        for _ in range(2):
            self._notify(channel, True)
            # Whoever is the first of those that end now sends for all of them.
            await self._send(self._clock())
            if channel.answer != LOST:
                break
        if channel.answer == APPENDED:
            await self._compact(channel)

    async def _send(self, until: float) -> bool:
        async with self._sending:
            due = [channel for channel, at in self._dirty.items() if at <= until]
            for channel in due:
                del self._dirty[channel]
            if not due:
                return True
            self._sent = self._clock()
            ready = [channel for channel in due if not channel.lost or await self._may_go_on(channel)]
            answers = [
                answer
                for start in range(0, len(ready), AT_ONCE)
                for answer in await self._append(ready[start : start + AT_ONCE])
            ]
        return REFUSED not in answers

    async def _append(self, channels: Sequence[Channel]) -> list[int]:
        answers = [REFUSED] * len(channels)
        appends = [self._next(channel) for channel in channels]
        try:
            answers = [int(a) for a in await APPEND_ALL.arun(self._client, append_all_args(appends))]
        except (redis.RedisError, OSError) as error:
            logger.warning("live events wait: %s", error)
        finally:
            # A cancel too leaves it open what Redis was told.
            for channel, answer in zip(channels, answers, strict=True):
                self._take_answer(channel, answer)
        return answers

    def _next(self, channel: Channel) -> Append:
        job, ends = channel.held.job, channel.ending is not None
        opens = channel.lost or not channel.opened
        ttl = self._ttl if ends else 0
        if not ends and (opens or self._sent >= channel.kept_until):
            ttl, channel.kept_until = SAFETY_TTL, self._sent + KEEP_EVERY
        return Append(job.job_id, job.epoch, channel.take(), opens, ends, ttl)

    def _take_answer(self, channel: Channel, answer: int) -> None:
        channel.answer = answer
        if answer == STALE:
            channel.stale = True
            channel.pending.clear()
        elif answer == APPENDED:
            channel.opened, channel.lost = True, False
        else:
            channel.lost = True
            if channel.ending is None:
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
            self._notify(channel, False)
            return False
        if channel.stale:
            channel.pending.clear()
        return not channel.stale

    async def _compact(self, channel: Channel) -> None:
        try:
            await COMPACT.arun(self._client, compact_args(*channel.held.key))
        except (redis.RedisError, OSError) as error:
            logger.warning("job %s: its live stream stays in pieces: %s", channel.held.job.job_id, error)


def waiting_time(streams: int) -> float:
    """Give the seconds that fragments wait for one another while so many streams have something to say."""
    return min(LONGEST, max(INTERVAL, FOR_EACH * streams))
