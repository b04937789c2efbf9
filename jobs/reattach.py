"""Background responses of a job: its next attempt goes on with them, and its cancelling ends them at their provider."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import anyio

from aquila.background import keeping
from aquila.errors import AquilaError
from jobs.steps import Steps

logger = logging.getLogger("jobs")

#: How responses are named among the steps.
RESPONSE = "aquila.response:"
#: Seconds that cancelling at the provider may take; the clean-up of an attempt has ten.
CANCEL_SECONDS = 5.0
_OK = range(200, 300)


@dataclass(frozen=True, slots=True)
class _Open:
    """A response that has not come to its end, as far as is known here."""

    response_id: str
    cancel: Callable[[], Awaitable[int]]


class Responses:
    """Keeps the ids of a job's background responses among its steps; entered around the actor.

    A later attempt reads a response from its first event: the job's live stream begins anew with each attempt, and what the
    provider keeps costs nothing to be read again. The whole text comes of it, whatever the earlier attempt had read.

    Args:
        steps: The attempt's.
    """

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._open: dict[str, _Open] = {}
        self._block: AbstractContextManager[None] = keeping(self)

    async def __aenter__(self) -> Self:
        self._block.__enter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._block.__exit__(kind, error, trace)
        if error is None or not self._open:
            return
        # The attempt may be cancelled because its job is, or because somebody else goes on with it: the row knows.
        with anyio.CancelScope(shield=True), anyio.move_on_after(CANCEL_SECONDS):
            try:
                cancelled = await self._steps.is_cancelled()
            except AquilaError as trouble:
                logger.warning("background responses of a job may go on at their provider: %s", trouble)
                return
            if cancelled:
                await self.cancel_open()

    async def recall(self, key: str) -> str | None:
        """Give the id that an earlier attempt has recorded; None if it has not."""
        known = await self._steps.recall(f"{RESPONSE}{key}")
        return str(known.value["response_id"]) if known is not None else None

    async def record(self, key: str, response_id: str, cancel: Callable[[], Awaitable[int]]) -> None:
        """Keep an id.

        Raises:
            JobsError: A newer attempt has the job.
        """
        self._open[key] = _Open(response_id, cancel)
        await self._steps.record(f"{RESPONSE}{key}", {"response_id": response_id})

    async def forget(self, key: str) -> None:
        """Drop an id."""
        self._open.pop(key, None)
        await self._steps.forget(f"{RESPONSE}{key}")

    def ended(self, key: str) -> None:
        """Note that a response is whole; its id is kept."""
        self._open.pop(key, None)

    async def cancel_open(self) -> None:
        """End every response of the attempt that is not whole at its provider, as far as that can be done."""
        async with anyio.create_task_group() as group:
            for key, one in list(self._open.items()):
                group.start_soon(self._cancel, key, one)

    async def _cancel(self, key: str, one: _Open) -> None:
        try:
            status = await one.cancel()
        except Exception as error:  # noqa: BLE001 - the job has ended; whatever a transport raises is only told
            logger.warning("response %s may go on at its provider: %s", one.response_id, error)
            return
        if status not in _OK:
            logger.warning("response %s may go on: its provider answered %d", one.response_id, status)
        self._open.pop(key, None)
