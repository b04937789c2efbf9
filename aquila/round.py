"""`Round`: one request of a run and its repetitions, up to one whole answer."""

from __future__ import annotations

import random
from dataclasses import replace

from aquila.background import KeptResponse, kept_response
from aquila.call import Call
from aquila.clocks import Clocks
from aquila.endpoint import Decoder, Profile, learn
from aquila.errors import (
    APIStatusError,
    AquilaError,
    CassetteError,
    ConnectionFailed,
    StreamTruncated,
    TimeoutExceeded,
    TotalTimeout,
)
from aquila.events import Event, Retrying, Status
from aquila.exchange import Exchange
from aquila.messages import Message
from aquila.pickup import Pickup, is_over
from aquila.plan import Plan
from aquila.rate_limits import RateLimits
from aquila.scrub import scrub
from aquila.telemetry import log_request
from aquila.transport.base import Request, Transport
from aquila.transport.cut_short import CutShortError
from aquila.transport.sleeping import sleep_of

_UNFINISHED = {"queued", "in_progress"}
#: The lesson that a server knows no response by its id.
_NO_CHAIN = "no_previous_response"
#: News of the answer's frame, which is there before anything is in it.
_FRAME = ("created", "queued", "in_progress", "finished", "output_item.", "content_part.")


class Round:
    """Reads one answer. A request is repeated only as long as none of its content was given out.

    Args:
        plan: Where to send it, and which API to ask.
        call: What to ask.
        transport: What sends it.
        clocks: The run's clocks.
        lessons: What is known of servers by their base URL; what this round learns is put in.
    """

    def __init__(
        self, plan: Plan, call: Call, transport: Transport, clocks: Clocks, lessons: dict[str, Profile]
    ) -> None:
        self.call = call
        self._plan = plan
        self._destination = plan.destination
        known = lessons.get(plan.destination.base_url)
        self._endpoint = plan.endpoint.with_profile(known) if known else plan.endpoint
        self._transport = transport
        self._clocks = clocks
        self._lessons = lessons
        # Without a chain of ours, a complaint about the previous response is about the user's.
        self._learnt = frozenset[str]() if call.chain else frozenset({_NO_CHAIN})
        #: What a refusal has taught, until the next request shows that it is true.
        self._lesson: Profile | None = None
        self._pickup = Pickup(call.attach) if call.background or call.attach else None
        self._kept = kept_response(plan.destination, call)
        self._exchange: Exchange | None = None
        #: The last read said that the provider is still at work.
        self._unfinished = False
        self._pause = 0.0
        self._failures = 0
        #: When the last request was sent, in seconds of the run.
        self._sent = 0.0
        #: What the last repetition was for.
        self._retried: AquilaError | None = None
        self._decoder: Decoder | None = None
        #: Requests so far.
        self.attempts = 0
        #: Content has been given out.
        self.content_seen = False
        self.request_id: str | None = None
        self.rate_limits: RateLimits | None = None
        self.payloads: list[bytes] = []

    @property
    def decoder(self) -> Decoder:
        """The decoder of the last request."""
        if self._decoder is None:
            self._decoder = self._endpoint.decoder(self.call)
        return self._decoder

    async def read(self) -> list[Event] | None:
        """Give the next events, or None at the end of a whole answer.

        Raises:
            TotalTimeout: The run as a whole took too long.
            AquilaError: The answer failed for good.
        """
        exchange = self._exchange
        try:
            if exchange is None:
                if self._kept is not None and (news := await self._attach(self._kept)) is not None:
                    return [news]
                exchange = await self._open()
            events = await exchange.read()
        except TotalTimeout:
            raise
        except AquilaError as error:
            # A whole answer stays whole when the connection ends badly behind it.
            if (
                exchange is not None
                and exchange.ended
                and isinstance(error, ConnectionFailed | TimeoutExceeded | CutShortError)
            ):
                return exchange.finish() or None
            return [await self._recover(error)]
        if events:
            if self._kept is not None:
                await self._kept.note(events)
            self._note(events)
        return events

    def next_call(self, messages: tuple[Message, ...], response_id: str | None) -> Call:
        """Give the call that continues the conversation behind this answer.

        Args:
            messages: The conversation with the answer.
            response_id: The answer's id; None if it has none.
        """
        kept = self._endpoint.chains and self.call.store is not False
        chain = (response_id, len(messages)) if kept and response_id is not None else None
        return replace(self.call, messages=messages, chain=chain)

    async def aclose(self) -> None:
        """Free the connection."""
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            if self._kept is not None and exchange.ended:
                self._kept.ended()
            await exchange.aclose()
            self._log(exchange.status)

    def _log(self, status: int | None, error: AquilaError | None = None) -> None:
        log_request(
            ref=self._plan.ref,
            model=self.call.model,
            status=status,
            request_id=self.request_id,
            attempt=self.attempts,
            seconds=self._clocks.elapsed() - self._sent,
            error=error,
        )

    async def _attach(self, kept: KeptResponse) -> Event | None:
        """Go on with the response that an earlier process has had for this request, from its first event."""
        known = None if self._is_picked_up else await kept.find(self._first_request())
        if known is None:
            return None
        self._pickup, self.payloads = Pickup((known, None)), []
        self._decoder = self._endpoint.decoder(replace(self.call, attach=(known, None)))
        return Status("attached", {"response_id": known})

    async def _open(self) -> Exchange:
        if self._pause:
            pause, self._pause = self._pause, 0.0
            await self._clocks.pause(pause, sleep_of(self._transport))
        request = self._pickup.request(self._destination) if self._pickup is not None else None
        if request is None:
            self._decoder = self._endpoint.decoder(self.call)
            self.payloads = []
            request = self._first_request()
        self.attempts += 1
        self.request_id = None
        self._sent = self._clocks.elapsed()
        try:
            exchange = await Exchange.open(self._transport, request, self.decoder, self._clocks)
        except AquilaError as error:
            self.request_id = error.request_id
            self._log(getattr(error, "status_code", None), error)
            raise
        self._exchange, self._unfinished = exchange, False
        exchange.payloads = self.payloads
        self.request_id, self.rate_limits = exchange.request_id, exchange.rate_limits
        return exchange

    def _first_request(self) -> Request:
        plan = self._plan
        planned = self.call is plan.call and self._endpoint is plan.endpoint
        body = (plan.body if planned else b"") or self._endpoint.body(self.call)
        return self._destination.request("POST", self._endpoint.path, body, model=self.call.model)

    def _note(self, events: list[Event]) -> None:
        if self._lesson is not None:
            # Only what helped is remembered.
            self._lessons[self._destination.base_url], self._lesson = self._lesson, None
        if self._pickup is not None:
            self._unfinished = any(isinstance(one, Status) and one.name in _UNFINISHED for one in events)
            if self._is_picked_up:
                # It has moved on, so the next loss counts from the beginning.
                self._failures = 0
        for event in events:
            if event.is_content or _is_work(event):
                self.content_seen = True
                self._clocks.content()
                return
        if self.content_seen and any(isinstance(event, Status) for event in events):
            self._clocks.content()
        else:
            self._clocks.waited()

    @property
    def _is_picked_up(self) -> bool:
        return self._pickup is not None and self._pickup.point is not None

    async def _recover(self, error: AquilaError) -> Event:
        begun = self._exchange is not None
        await self.aclose()
        if isinstance(error, CassetteError) and self._retried is not None:
            # The cassette holds nothing for the retry; why there was one is what matters.
            raise self._retried from error
        event = await self._other_way(error, begun=begun)
        if event is not None:
            return event
        delay = None
        # Asking again for what the provider keeps repeats nothing.
        if not self.content_seen or self._is_picked_up:
            self._failures += 1
            # Retries of many clients at one moment would meet again; the jitter spreads them.
            delay = self._destination.retry.delay(self._failures, error, random.random())  # noqa: S311
        # A pause that the deadline cuts short would hide the cause behind a time-out.
        if delay is None or not self._clocks.leaves(delay):
            raise error
        self._pause = delay
        self._retried = error
        # What had come stays; a retry would begin anew.
        again = self._pickup.resumed if self._pickup is not None else None
        return again or Retrying(self.attempts + 1, delay, self._scrub(error))

    async def _other_way(self, error: AquilaError, *, begun: bool) -> Event | None:
        over = self._kept is not None and is_over(error, begun=begun)
        # A refusal may mean only that the response cannot be streamed any more; a failure is the whole truth.
        event = None if over and begun else self._picked_up(error)
        if over and event is None:
            event = await self._made_anew(error)
        return event or self._relearnt(error)

    async def _made_anew(self, error: AquilaError) -> Event | None:
        # A response of an earlier process's is made anew if nothing of it was given out; no other is asked for again.
        anew = self._kept is not None and await self._kept.forget() and not self.content_seen
        if not anew and self._is_picked_up:
            raise error
        if not anew:
            return None
        self._pickup, self._failures, self._retried = Pickup(), 0, error
        return Retrying(self.attempts + 1, 0.0, self._scrub(error))

    def _picked_up(self, error: AquilaError) -> Event | None:
        if self._pickup is None:
            return None
        if self._pickup.polling and isinstance(error, StreamTruncated) and self._unfinished:
            # Whole, but not done yet.
            self._pause = self._pickup.next_pause()
            return Status("polling", {"seconds": self._pause})
        polling = self._pickup.polling
        event = self._pickup.after(error, self._decoder)
        if event is None or self._pickup.polling is not polling:
            # To ask for the whole is another way and no repetition; it is changed to once.
            return event
        if self._failures >= self._destination.retry.max_retries:
            return None
        self._failures += 1
        self._pause = self._destination.retry.backoff(self._failures) if self._failures > 1 else 0.0
        return event

    def _relearnt(self, error: AquilaError) -> Retrying | None:
        if self.content_seen or self._is_picked_up or not isinstance(error, APIStatusError):
            return None
        lesson = learn(self._endpoint.profile, error, self._learnt)
        if lesson is None:
            return None
        name, profile = lesson
        self._learnt |= {name}
        wiser = self._endpoint.with_profile(profile)
        if name != _NO_CHAIN and wiser.body(self.call) == self._endpoint.body(self.call):
            # What was refused is the user's own.
            return None
        self._endpoint, self._lesson = wiser, profile
        if name == _NO_CHAIN:
            self.call = replace(self.call, chain=None)
        self._retried = error
        return Retrying(self.attempts + 1, 0.0, self._scrub(error))

    def _scrub(self, error: AquilaError) -> AquilaError:
        return scrub(error, self._destination.secrets)


def _is_work(event: Event) -> bool:
    """Say whether news is of work done for the answer: a refusal, a hosted tool, a comment."""
    return isinstance(event, Status) and not event.name.startswith(_FRAME)
