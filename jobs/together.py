"""Work on what has gathered: of those who wait, the first does it for all. There is no task behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import anyio

from jobs.threads import in_thread

T = TypeVar("T")


class _Item(Generic[T]):
    """One thing to be worked on, and what came of it."""

    __slots__ = ("done", "error", "value")

    def __init__(self, value: T) -> None:
        self.value = value
        self.done = False
        self.error: Exception | None = None


class Together(Generic[T]):
    """Gathers items while the work on the last ones is under way. One for each event loop."""

    def __init__(
        self,
        work: Callable[[Sequence[T]], None],
        *,
        most: int,
        limiter: Callable[[], anyio.CapacityLimiter] | None = None,
    ) -> None:
        """Prepare it.

        Args:
            work: Does the work, in a thread; an error of it is everybody's.
            most: Items at once; the rest goes with the next.
            limiter: Gives the threads it is done in; None means those for the database.
        """
        self._work = work
        self._most = most
        self._limiter = limiter
        self._waiting: list[_Item[T]] = []
        self._turn = anyio.Lock()

    async def do(self, value: T) -> None:
        """Have the work done on an item, together with others. Cancelling waits until it is done.

        Raises:
            Exception: What the work raised.
        """
        item = _Item(value)
        self._waiting.append(item)
        with anyio.CancelScope(shield=True):
            while not item.done:
                async with self._turn:
                    if not item.done:
                        batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                        await self._work_on(batch)
        if item.error is not None:
            raise item.error

    async def _work_on(self, batch: list[_Item[T]]) -> None:
        error: Exception | None = None
        try:
            await in_thread(self._work, [item.value for item in batch], limiter=self._limiter)
        except Exception as raised:  # noqa: BLE001 - raised where the work was asked for
            error = raised
        for item in batch:
            item.done, item.error = True, error
