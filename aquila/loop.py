"""The run: request, events, retries, clocks, and the Response they end in."""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aquila.call import Call
from aquila.clocks import Clocks
from aquila.endpoint import Endpoint
from aquila.errors import AquilaError, CassetteError, ConnectionFailed, TimeoutExceeded, TotalTimeout
from aquila.events import Chunk, Done, Event, ReasoningChunk, Retrying, Started, Status, Unknown
from aquila.exchange import Exchange
from aquila.folding import Folder
from aquila.response import Response
from aquila.retry import Retry
from aquila.scrub import scrub
from aquila.timeouts import Timeouts
from aquila.transport.base import Request, Transport

logger = logging.getLogger("aquila")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that a run needs to know."""

    ref: str
    call: Call
    endpoint: Endpoint
    request: Request
    #: Makes the transport when the run begins, not before; the run closes it.
    transport: Callable[[], Transport]
    timeouts: Timeouts
    retry: Retry
    #: Values that must not appear in an error.
    secrets: tuple[str, ...] = field(default=(), repr=False)


class Run:
    """One run, read by one task inside an event loop.

    Nothing is sent before the first `read`. A request is repeated only as long as no content has come from it.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._transport = plan.transport()
        self._clocks = Clocks(plan.timeouts)
        self._folder = Folder()
        self._exchange: Exchange | None = None
        self._attempts = 0
        self._pause = 0.0
        #: What the last repetition was for.
        self._retried: AquilaError | None = None
        self._started = False
        self._closed = False
        self._content_seen = False
        self._request_id: str | None = None
        self._payloads: list[bytes] = []

    async def read(self) -> list[Event]:
        """Give the next events, at least one; the last of all is Done.

        Raises:
            AquilaError: The run failed for good; it holds what had come.
        """
        while True:
            try:
                self._clocks.check_total()
                events = await self._step()
            except AquilaError as error:
                if self._closed:
                    raise
                events = [await self._recover(error)]
            for event in events:
                self._folder.add(event)
            if events:
                return events

    async def emit(self, emission: Awaitable[None]) -> None:
        """Wait for a sink under the total clock.

        Raises:
            TotalTimeout: The run as a whole took too long.
        """
        await self._clocks.wait_total(emission)

    def interrupt(self, error: AquilaError) -> None:
        """End the wait that another task is in."""
        self._closed = True
        self._clocks.interrupt(error)

    async def aclose(self) -> None:
        """Free the connection, the transport and the timer. May be called twice.

        Raises:
            AquilaError: What closing found out: a recording cannot be written.
        """
        self._closed = True
        self._clocks.close()
        await self._close_exchange()
        await self._transport.aclose()

    async def abandon(self) -> None:
        """Free everything after a failure, which is what the caller is told; what else comes up is logged."""
        try:
            await self.aclose()
        except AquilaError as error:
            logger.warning("run_closed_badly ref=%s error=%s", self._plan.ref, self._scrub(error))

    def complete(self, error: AquilaError) -> AquilaError:
        """Put what had come into an error, and take secrets out of it."""
        if self._attempts:
            error.partial = self._response(status="in_progress")
            error.attempts = self._attempts
            error.request_id = error.request_id or self._request_id
        return self._scrub(error)

    async def _step(self) -> list[Event]:
        if not self._started:
            self._started = True
            return [Started(self._plan.ref, self._plan.call.model, self._plan.call.metadata)]
        if self._pause:
            pause, self._pause = self._pause, 0.0
            await self._clocks.pause(pause)
        if self._exchange is None:
            self._attempts += 1
            self._request_id, self._payloads = None, []
            self._exchange = await Exchange.open(
                self._transport, self._plan.request, self._plan.endpoint.decoder(), self._clocks
            )
            self._request_id = self._exchange.request_id
            self._payloads = self._exchange.payloads
        return self._noted(await self._read(self._exchange))

    async def _read(self, exchange: Exchange) -> list[Event] | None:
        try:
            return await exchange.read()
        except TotalTimeout:
            raise
        except (ConnectionFailed, TimeoutExceeded):
            # A whole answer stays whole when the connection ends badly behind it.
            if exchange.ended:
                return None
            raise

    def _noted(self, events: list[Event] | None) -> list[Event]:
        if events is None:
            return [Done(self._response())]
        if any(_is_content(event) for event in events):
            self._content_seen = True
            self._clocks.content()
        return events

    async def _recover(self, error: AquilaError) -> Event:
        await self._close_exchange()
        if isinstance(error, CassetteError) and self._retried is not None:
            # The cassette holds nothing for the retry; why there was one is what matters.
            raise self.complete(self._retried) from error
        delay = None
        if not self._content_seen:
            # Retries of many clients at one moment would meet again; the jitter spreads them.
            delay = self._plan.retry.delay(self._attempts, error, random.random())  # noqa: S311
        # A pause that the deadline cuts short would hide the cause behind a time-out.
        if delay is None or not self._clocks.leaves(delay):
            raise self.complete(error)
        self._pause = delay
        self._retried = error
        return Retrying(self._attempts + 1, delay, self._scrub(error))

    def _response(self, **facts: Any) -> Response:
        return self._folder.response(
            self._plan.call.messages,
            request_id=self._request_id,
            attempts=self._attempts,
            time_to_first_chunk=self._clocks.time_to_first_chunk,
            elapsed=self._clocks.elapsed(),
            payloads=tuple(self._payloads),
            **facts,
        )

    def _scrub(self, error: AquilaError) -> AquilaError:
        return scrub(error, self._plan.secrets)

    async def _close_exchange(self) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            await exchange.aclose()


def _is_content(event: Event) -> bool:
    return isinstance(event, Chunk | ReasoningChunk | Unknown) or (
        isinstance(event, Status) and event.name == "refusal"
    )
