"""A bounded queue between the runs that fill it and the reader that empties it."""

from __future__ import annotations

from collections import deque

import anyio
import anyio.lowlevel

from aquila.sink.overflow import Policy, Queued


class Backlog:
    """Holds events until they are read; used inside one event loop.

    Args:
        size: Events it holds before `policy` is asked. The last event of a run needs no room: it must reach a slow
            reader even if the run cannot wait for it.
        policy: What to do with one more.
        runs: Runs that must have ended before the queue ends by itself; None: it does not.
    """

    def __init__(self, size: int, policy: Policy, *, runs: int | None) -> None:
        self._size = size
        self._policy = policy
        self._queue: deque[Queued] = deque()
        #: Last events in the queue.
        self._lasts = 0
        self._change: anyio.Event | None = None
        self._to_come = runs
        self._open = 0
        #: Events that the policy dropped.
        self.dropped = 0
        #: True: nothing more comes; what is there can still be read.
        self.closed = False
        #: True: nobody reads any more.
        self.abandoned = False

    def enter(self) -> None:
        """Count one more run that fills the queue."""
        self._open += 1

    def exit(self) -> None:
        """Count one run as ended; with the last one the queue is closed."""
        self._open -= 1
        if self._to_come is None:
            return
        self._to_come -= 1
        if self._to_come <= 0 and not self._open:
            self.close()

    async def put(self, new: Queued) -> None:
        """Add an event, waiting for room if the policy says so; drop it if the queue is closed."""
        if not new.last and self._full:
            # A reader that is ready takes what it is due before anything is dropped or joined.
            await anyio.lowlevel.checkpoint()
            while self._full and not self.closed:
                before = len(self._queue)
                verdict = self._policy(self._queue, new)
                self.dropped += before - len(self._queue)
                if verdict == "joined":
                    return
                if verdict == "add":
                    break
                await self._wait()
        if not self.closed:
            self._queue.append(new)
            self._lasts += new.last
            self._tell()

    async def get(self) -> Queued | None:
        """Take the oldest event, waiting for one; None when there is none and none will come."""
        while not self._queue:
            if self.closed:
                return None
            await self._wait()
        old = self._queue.popleft()
        self._lasts -= old.last
        self._tell()
        return old

    def close(self) -> None:
        """End the queue behind what is in it."""
        self.closed = True
        self._tell()

    def abandon(self) -> None:
        """End the queue at once: what is in it is dropped, and so is what comes."""
        self.closed = self.abandoned = True
        self._queue.clear()
        self._lasts = 0
        self._tell()

    @property
    def _full(self) -> bool:
        return len(self._queue) - self._lasts >= self._size

    async def _wait(self) -> None:
        if self._change is None:
            self._change = anyio.Event()
        await self._change.wait()

    def _tell(self) -> None:
        change, self._change = self._change, None
        if change is not None:
            change.set()
