"""One line of requests in one event loop: who may go, and when."""

from __future__ import annotations

import anyio

from aquila.errors import RateLimitError
from aquila.transport.bucket import Bucket

_TOO_MANY = 429


class Lane:
    """Lets requests through in the order of their coming.

    Args:
        per_minute: Requests in any 60 seconds; None for no limit.
        concurrent: Requests under way at once; None for no limit.
    """

    def __init__(self, per_minute: int | None, concurrent: int | None) -> None:
        self._bucket = None if per_minute is None else Bucket(per_minute, anyio.current_time())
        self._places = None if concurrent is None else anyio.Semaphore(concurrent, fast_acquire=True)
        #: The head of the line; only its holder looks at the limits. anyio's lock is first come, first served.
        self._head = anyio.Lock(fast_acquire=True)
        #: The provider wants nothing before this moment.
        self._not_before = 0.0
        #: Requests in the line or under way.
        self.users = 0

    async def enter(self, max_wait: float | None) -> None:
        """Wait until a request may go; every success is followed by one `leave`.

        Raises:
            RateLimitError: The provider has asked for a pause of more than `max_wait` seconds from now.
        """
        self.users += 1
        try:
            async with self._head:
                await self._take_place()
                try:
                    await self._wait_for_turn(max_wait)
                except BaseException:
                    self._give_place()
                    raise
        except BaseException:
            self.users -= 1
            raise

    def leave(self) -> None:
        """Let the next one in."""
        self.users -= 1
        self._give_place()

    def pause(self, seconds: float) -> None:
        """Let nobody through for that long, counted from now."""
        if seconds > 0:
            self._not_before = max(self._not_before, anyio.current_time() + seconds)

    async def _take_place(self) -> None:
        if self._places is not None:
            await self._places.acquire()

    def _give_place(self) -> None:
        if self._places is not None:
            self._places.release()

    async def _wait_for_turn(self, max_wait: float | None) -> None:
        while True:
            now = anyio.current_time()
            asked = self._not_before - now
            if max_wait is not None and asked > max_wait:
                raise RateLimitError(
                    f"the provider asked for a pause that lasts {asked:.0f} s more, longer than max_wait={max_wait:g}; "
                    "nothing was sent",
                    status_code=_TOO_MANY,
                    retry_after=asked,
                )
            wait = max(asked, self._bucket.wait(now) if self._bucket is not None else 0.0)
            if wait <= 0:
                break
            await anyio.sleep(wait)
        if self._bucket is not None:
            self._bucket.take(now)
