"""One reading connection for all followers of an event loop, however many jobs they follow.

There is no task behind it: of the readers that wait, one reads for all, and the next takes over when it has what it waited
for or leaves. So nothing runs while nobody waits, a reader that is cancelled takes nothing along, and there is nothing to
stop when the loop ends. The connection is opened by the first reader and closed with the last.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any
from uuid import uuid4
from weakref import WeakSet

import anyio
import redis
from anyio.lowlevel import RunVar

from jobs.cursor import Position, format_position
from jobs.redis_client import connect_async, without_password
from jobs.tail import Record, Tail, TailReader, parse_record

logger = logging.getLogger("jobs")

#: Seconds that Redis is asked to wait for news; below the client's own limit.
BLOCK = 5.0
#: Records of one stream taken in one read.
BATCH = 500
#: Seconds to leave Redis alone after it did not answer.
PAUSE = 0.5
#: Seconds between two reads for each stream that is read, and at most: asking for many costs more than what one brings.
GAP = 0.000_012
LONGEST_GAP = 0.01
#: Readers that ask for what they missed at the same time; the others wait for their turn.
AT_ONCE = 4
#: Seconds that the stream is kept through which a hub wakes itself.
WAKE_TTL = 60


class Hub:
    """Reads the live streams of one Redis for one event loop."""

    def __init__(self, url: str, connect: Callable[[], Any]) -> None:
        """Prepare the hub; nothing is opened.

        Args:
            url: Redis, for messages.
            connect: Makes an asynchronous client.
        """
        self._name = without_password(url)
        self._connect = connect
        self._client: Any = None
        #: Weak: a reader that is dropped without having left is read for no longer.
        self._readers: WeakSet[TailReader] = WeakSet()
        self._tails: dict[bytes, Tail] = {}
        self._idle: dict[TailReader, None] = {}
        self._leading = False
        #: What the read under way asks for: the tails and where they stood.
        self._asked: dict[bytes, Tail] = {}
        self._wake_key = f"aq:wake:{uuid4().hex}".encode()
        self._heard = b"0-0"
        self._woken = False
        self._read_at = 0.0
        self._away_until = 0.0
        #: Whether Redis did not answer when it was asked last.
        self.away = False
        self._turns = anyio.CapacityLimiter(AT_ONCE)

    def enter(self, reader: TailReader) -> None:
        """Keep the connections open for a reader until it leaves."""
        self._readers.add(reader)

    async def leave(self, reader: TailReader) -> None:
        """Forget a reader; the last one closes the connections."""
        self._readers.discard(reader)
        tail = self._tails.get(reader.key)
        if tail is not None:
            tail.readers.discard(reader)
            if not tail.readers:
                del self._tails[reader.key]
        if not self._readers:
            client, self._client = self._client, None
            if client is not None:
                with anyio.CancelScope(shield=True):
                    await client.aclose()

    def held(self, key: bytes, position: Position) -> list[Record] | None:
        """Give what has come of a stream behind `position`; None if it must be read from Redis."""
        tail = self._tails.get(key)
        return None if tail is None else tail.after(position, BATCH)

    def floor(self, key: bytes) -> Position | None:
        """Give the place up to which a stream's records are not held; None if it is not read."""
        tail = self._tails.get(key)
        return None if tail is None else tail.floor

    async def replay(self, key: bytes, position: Position) -> list[Record] | None:
        """Read what a stream has behind `position`, `BATCH` at most; None if Redis does not answer."""
        async with self._turns:
            answer = await self._ask(
                lambda client: client.xrange(key, min=f"({format_position(position)}", count=BATCH)
            )
        return None if answer is None else _records(answer)

    async def unfinished(self, fence: str) -> bool:
        """Say whether a stream's fence tells of an attempt that has not ended it; False if Redis does not answer."""
        async with self._turns:
            return bool(await self._ask(lambda client: client.hget(fence, "ended")) == b"0")

    async def join(self, reader: TailReader, position: Position) -> None:
        """Read on for a reader that has everything up to `position`."""
        key = reader.key
        self._tails.setdefault(key, Tail(position)).readers.add(reader)
        if self._is_passed_over(key):
            async with self._turns:
                # One word wakes the read under way for all who came meanwhile.
                if not self._woken and self._is_passed_over(key):
                    self._woken = await self._ask(self._say_wake) is not None

    async def wait(self, reader: TailReader, seconds: float) -> None:
        """Wait until the reader has news, for `seconds` at most; read for all if nobody does."""
        deadline = time.monotonic() + seconds
        try:
            while not self._has_news(reader) and (left := deadline - time.monotonic()) > 0:
                if self._leading:
                    await self._wait_idle(reader, left)
                else:
                    await self._lead(reader, deadline)
        finally:
            # Whoever was asked to take over and goes instead asks the next.
            if not self._leading and self._idle:
                next_one = next(iter(self._idle))
                del self._idle[next_one]
                next_one.wake()

    def _has_news(self, reader: TailReader) -> bool:
        tail = self._tails.get(reader.key)
        return tail is None or reader.position < tail.last

    def _is_passed_over(self, key: bytes) -> bool:
        return bool(self._asked) and key not in self._asked

    async def _wait_idle(self, reader: TailReader, seconds: float) -> None:
        reader.waiting = anyio.Event()
        self._idle[reader] = None
        try:
            with anyio.move_on_after(seconds):
                await reader.waiting.wait()
        finally:
            reader.waiting = None
            self._idle.pop(reader, None)

    async def _lead(self, reader: TailReader, deadline: float) -> None:
        self._leading = True
        try:
            while not self._has_news(reader) and (left := deadline - time.monotonic()) > 0:
                if not await self._read(left):
                    await anyio.sleep(min(PAUSE, left))
        finally:
            self._leading = False

    async def _read(self, seconds: float) -> bool:
        """Take what has come for anyone, once; False if Redis does not answer."""
        self._tails = {key: tail for key, tail in self._tails.items() if tail.readers}
        gap = min(LONGEST_GAP, GAP * len(self._tails))
        await anyio.sleep(max(0.0, self._read_at + gap - time.monotonic()))
        self._asked = asked = dict(self._tails)
        self._woken = False
        places = {key: tail.last_id for key, tail in asked.items()}
        places[self._wake_key] = self._heard
        block = max(1, int(min(seconds, BLOCK) * 1000))
        try:
            answer = await self._ask(lambda client: client.xread(places, count=BATCH, block=block))
        finally:
            self._asked = {}
            self._read_at = time.monotonic()
        for key, entries in _streams(answer or {}):
            tail = asked.get(key)
            if tail is None:
                self._heard = entries[-1][0]
            # A tail that was begun anew meanwhile stands elsewhere.
            elif self._tails.get(key) is tail:
                tail.take(_records(entries), entries[-1][0])
        return answer is not None

    async def _ask(self, command: Callable[[Any], Any]) -> Any:
        if time.monotonic() < self._away_until:
            return None
        if self._client is None:
            self._client = self._connect()
        try:
            answer = await command(self._client)
        except (redis.RedisError, OSError) as error:
            if not self.away:
                logger.warning("jobs are followed by their rows alone: Redis at %s: %s", self._name, error)
            self.away, self._away_until = True, time.monotonic() + PAUSE
            return None
        self.away = False
        return {} if answer is None else answer

    async def _say_wake(self, client: Any) -> Any:
        pipe = client.pipeline(transaction=False)
        pipe.xadd(self._wake_key, {b"w": b"1"}, maxlen=1, approximate=False)
        pipe.expire(self._wake_key, WAKE_TTL)
        return await pipe.execute()


_HUBS: RunVar[dict[str, Hub]] = RunVar("aquila_hubs")


def hub_at(url: str) -> Hub:
    """Give the running loop's hub for a Redis."""
    try:
        hubs = _HUBS.get()
    except LookupError:
        hubs = {}
        _HUBS.set(hubs)
    if url not in hubs:
        hubs[url] = Hub(url, partial(connect_async, url))
    return hubs[url]


def _streams(answer: Any) -> Iterable[tuple[bytes, list[Any]]]:
    # A mapping in RESP3, a list of pairs in RESP2.
    if isinstance(answer, dict):
        return [(name, batch[0]) for name, batch in answer.items()]
    return [(name, entries) for name, entries in answer]


def _records(entries: Iterable[Any]) -> list[Record]:
    return [parse_record(key, fields) for key, fields in entries]
