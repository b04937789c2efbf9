"""`Line`: single requests, each with one whole answer, and all that a run does for its own requests.

Clocks, retries, error statuses as their classes, cassettes, one log line for each request, no secret in an error.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self, TypeVar, cast
from uuid import uuid4

import anyio

from aquila.cassette import Scope
from aquila.clocks import Clocks
from aquila.destination import Destination
from aquila.endpoint import Profile
from aquila.errors import APIStatusError, AquilaError, CassetteError, ProtocolError
from aquila.options import Options
from aquila.refusal import read_refusal
from aquila.reply import Reply
from aquila.request_options import RequestOptions, check_request_options
from aquila.scrub import scrub
from aquila.servers import make_server
from aquila.settings import Settings, read_settings
from aquila.telemetry import log_request
from aquila.timeouts import Timeouts
from aquila.transport.base import Request, Transport, TransportResponse
from aquila.transport.sleeping import sleep_of

logger = logging.getLogger("aquila")

T = TypeVar("T")

_OK = range(200, 300)
#: Vectors as text take the most: 2,048 of 3,072 numbers are some 80 MB.
_BODY_BYTES = 256 * 1024 * 1024
#: Seconds that closing the transport may take.
_CLOSE_SECONDS = 1.0


class Line:
    """Sends the requests of one call to one server; used as `async with`, by one task.

    Args:
        options: What the call says.
        model: The model asked for, which may have a way of its own; None for the environment's.
        settings: What the environment says; None reads it.
        scope: The client's cassette, for calls that name none.
        timeouts: The clocks where the call says nothing, or only the total; None for the server's usual ones.

    Raises:
        ConfigError: A value cannot be used.
        TypeError: An option is unknown.
    """

    def __init__(
        self,
        options: RequestOptions,
        *,
        model: str | None = None,
        settings: Settings | None = None,
        scope: Scope | None = None,
        timeouts: Timeouts | None = None,
    ) -> None:
        check_request_options(options)
        settings = settings or read_settings()
        travel = cast("Options", dict(options))
        if timeouts is not None:
            travel["timeout"] = Timeouts.of(options.get("timeout"), timeouts)
        self._model = model or settings.model
        server = make_server(self._model, travel, settings, scope)
        #: Where the requests go, and what is known of the server there.
        self.destination: Destination = server.destination
        self.profile: Profile = server.profile
        self._opened: tuple[Transport, Clocks] | None = None
        self._answered = False
        #: The call's name, in logs and spans.
        self.ref = uuid4().hex
        #: Requests so far.
        self.attempts = 0

    async def __aenter__(self) -> Self:
        self._opened = self.destination.transport(), Clocks(self.destination.timeouts)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        transport, clocks = self._both
        self._opened = None
        clocks.close()
        # The caller may be cancelled; closing must happen all the same, and must not take for ever.
        with anyio.CancelScope(shield=True), anyio.move_on_after(_CLOSE_SECONDS):
            try:
                await transport.aclose()
            except AquilaError as trouble:
                # A recording that cannot be written matters, unless there is a failure to tell of.
                if error is None:
                    raise self._told(trouble) from None
                logger.warning("line_closed_badly ref=%s error=%s", self.ref, self._told(trouble))

    @property
    def elapsed(self) -> float:
        """Seconds since the line was opened."""
        return self._both[1].elapsed()

    async def send(
        self,
        method: str,
        path: str,
        read: Callable[[Reply], T],
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        repeatable: bool = True,
    ) -> T:
        """Send a request until it is answered, or has failed for good.

        Args:
            method: `POST`, `GET`, `DELETE`.
            path: What follows the base URL.
            read: Makes of the answer what the caller wants; what it raises may be a reason to ask again.
            body: The request's body.
            headers: Replace headers of the same name.
            repeatable: False: the request changes something at the provider, so once an answer has begun to come, only
                the provider's own error is a reason to ask again.

        Returns:
            What `read` gives.

        Raises:
            AquilaError: No connection, a clock, an error status, or an answer that is not what it should be.
        """
        request = self.destination.request(
            method,
            path,
            body,
            model=self._model,
            headers={"accept": "application/json", **(headers or {})},
        )
        failures = 0
        retried: AquilaError | None = None
        while True:
            try:
                return await self._once(request, read)
            except AquilaError as failure:
                error = self._told(failure)
                if isinstance(error, CassetteError) and retried is not None:
                    # The cassette holds nothing for the retry; why there was one is what matters.
                    raise retried from error
                failures += 1
                delay = self._delay(failures, error, repeatable=repeatable)
                if delay is None:
                    raise
                retried = error
            await self.pause(delay)

    async def pause(self, seconds: float) -> None:
        """Wait between two requests.

        Raises:
            TotalTimeout: The call as a whole took too long.
        """
        try:
            transport, clocks = self._both
            await clocks.pause(seconds, sleep_of(transport))
        except AquilaError as error:
            raise self._told(error) from None

    def _delay(self, failures: int, error: AquilaError, *, repeatable: bool) -> float | None:
        if self._answered and not repeatable and not isinstance(error, APIStatusError):
            return None
        # Retries of many clients at one moment would meet again; the jitter spreads them.
        delay = self.destination.retry.delay(failures, error, random.random())  # noqa: S311
        # A pause that the deadline cuts short would hide the cause behind a time-out.
        return delay if delay is not None and self._both[1].leaves(delay) else None

    async def _once(self, request: Request, read: Callable[[Reply], T]) -> T:
        self.attempts += 1
        self._answered = False
        sent = self.elapsed
        reply: Reply | None = None
        failure: AquilaError | None = None
        try:
            reply = await self._exchange(request)
            return read(reply)
        except AquilaError as error:
            if reply is not None:
                error.request_id = error.request_id or reply.request_id
            failure = error
            raise
        finally:
            log_request(
                ref=self.ref,
                model=self._model,
                status=reply.status if reply is not None else getattr(failure, "status_code", None),
                request_id=reply.request_id if reply is not None else getattr(failure, "request_id", None),
                attempt=self.attempts,
                seconds=self.elapsed - sent,
                error=failure,
            )

    async def _exchange(self, request: Request) -> Reply:
        transport, clocks = self._both
        clocks.new_request()
        response = await clocks.wait_source(transport.send(request))
        try:
            if response.status not in _OK:
                raise await read_refusal(response, clocks, request.url)
            self._answered = True
            body = await _read_body(response, clocks, request.url)
        finally:
            await response.aclose()
        return Reply(url=request.url, status=response.status, headers=response.headers, body=body)

    @property
    def _both(self) -> tuple[Transport, Clocks]:
        if self._opened is None:
            raise RuntimeError("a Line works only while it is open: async with Line(...) as line")
        return self._opened

    def _told(self, error: AquilaError) -> AquilaError:
        error.attempts = self.attempts
        return scrub(error, self.destination.secrets)


async def _read_body(response: TransportResponse, clocks: Clocks, url: str) -> bytes:
    body = bytearray()
    while True:
        with clocks:
            data = await anext(response.chunks, None)
        if data is None:
            return bytes(body)
        body += data
        if len(body) > _BODY_BYTES:
            raise ProtocolError(f"{url} answered with more than {_BODY_BYTES:,} bytes")
        # A whole answer has no content before its end, so any byte of it counts.
        clocks.content()
