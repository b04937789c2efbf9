"""The run: answers, tools between them, the object asked for, and the Response they end in."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from aquila.clocks import Clocks
from aquila.errors import AquilaError, OutputInvalid
from aquila.events import Done, Event, Started, Status
from aquila.fallback import may_fall_back
from aquila.folding import Folder
from aquila.history import tool_message
from aquila.lessons import lessons_of
from aquila.messages import Message
from aquila.plan import Plan
from aquila.response import Response
from aquila.round import Round
from aquila.scrub import scrub
from aquila.structure import Structure
from aquila.telemetry import RunTelemetry, start_run
from aquila.tool_call import ToolCall
from aquila.toolwork import ToolWork

logger = logging.getLogger("aquila")


class Run:
    """One run, read by one task inside an event loop. Nothing is sent before the first `read`."""

    def __init__(self, plan: Plan) -> None:
        self._fallbacks = list(plan.fallbacks)
        self._clocks = Clocks(plan.destination.timeouts)
        self._folder = Folder(plan.pending)
        self._work = ToolWork(plan.rules, plan.pending) if plan.rules is not None else None
        self._structure = Structure(plan.shape) if plan.shape is not None else None
        self._pending = plan.pending
        self._round: Round | None = None
        #: Answers so far, and what the requests for them were.
        self._answers = 0
        self._attempts_before = 0
        self._payloads_before: list[bytes] = []
        #: The present round's answer stands in the conversation.
        self._taken = False
        self._telemetry: RunTelemetry | None = None
        self._first_told = False
        self._result: Response | None = None
        self._error: AquilaError | None = None
        self._started = False
        self._closed = False
        self._go_by(plan)

    def _go_by(self, plan: Plan) -> None:
        self._plan = plan
        self._call = plan.call
        self._clocks.go_by(plan.destination.timeouts)
        self._transport = plan.destination.transport()
        self._lessons = lessons_of(self._transport)

    async def read(self) -> list[Event]:
        """Give the next events, at least one; the last of all is Done.

        Raises:
            AquilaError: The run failed for good; it holds what had come.
        """
        while True:
            answer = self._round
            try:
                # Each coroutine on the way is paid for with each chunk, so the usual one has no wrapper.
                events = await (answer.read() if answer is not None else self._begin())
                if events is None and answer is not None:
                    events = await self._conclude(answer)
            except AquilaError as error:
                if self._closed:
                    raise
                events = [await self._fall_back(error)]
            if not events:
                continue
            if self._structure is not None:
                events = self._structure.shown(events)
            self._folder.add_all(events)
            if self._telemetry is not None:
                self._tell(self._telemetry, events)
            return events

    @property
    def tool_context(self) -> Any:
        """The tools' context with the patches so far; None without tools."""
        return self._plan.rules.tools.context if self._plan.rules is not None else None

    async def emit(self, emission: Awaitable[None]) -> None:
        """Wait for a sink under the total clock.

        Raises:
            TotalTimeout: The run as a whole took too long.
        """
        if self._plan.destination.timeouts.total is None:
            await emission
        else:
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
        if self._telemetry is not None:
            self._telemetry.end(self._result, self._error)
        if self._round is not None:
            await self._round.aclose()
        await self._transport.aclose()

    async def abandon(self) -> None:
        """Free everything after a failure, which is what the caller is told; what else comes up is logged."""
        try:
            await self.aclose()
        except AquilaError as error:
            logger.warning("run_closed_badly ref=%s error=%s", self._plan.ref, self._scrub(error))

    def complete(self, error: AquilaError) -> AquilaError:
        """Put what had come into an error, and take secrets out of it."""
        attempts = self._attempts
        if attempts or self._answers:
            text = "" if self._taken else self._folder.text
            said = (Message(role="assistant", content=text),) if text else ()
            error.partial = self._response((*self._call.messages, *said), status="in_progress")
            error.attempts = attempts
            error.request_id = error.request_id or (self._round.request_id if self._round else None)
        if type(error) is AquilaError:
            # A reader that leaves is no failure of the run.
            self._result = error.partial
        else:
            self._error = error
        return self._scrub(error)

    async def _begin(self) -> list[Event]:
        """Do what comes before a request: say that the run has started, or run the tools a person has decided on."""
        self._clocks.check_total()
        if not self._started:
            self._started = True
            self._telemetry = self._watched()
            return [Started(self._plan.ref, self._call.model, self._call.metadata)]
        pending, self._pending = self._pending, None
        if pending is not None and self._work is not None:
            return await self._run_tools(self._work, pending.calls, pending.denied)
        self._round = Round(self._plan, self._call, self._transport, self._clocks, self._lessons)
        return []

    def _tell(self, telemetry: RunTelemetry, events: Sequence[Event]) -> None:
        for event in events:
            telemetry.note(event)
        if self._first_told:
            telemetry.chunk()
        elif self._clocks.time_to_first_chunk is not None:
            self._first_told = True
            telemetry.first_chunk()

    def _watched(self) -> RunTelemetry | None:
        facts = {field.name: getattr(self._call, field.name) for field in fields(self._call)}
        server = self._plan.destination.base_url
        return start_run(
            operation="chat", model=self._call.model, facts={**facts, "ref": self._plan.ref}, server=server
        )

    async def _conclude(self, answer: Round) -> list[Event]:
        """Decide what follows a whole answer: tools, another try at the object, or the end."""
        facts = self._folder.facts
        turn, calls = answer.decoder.turn(), tuple(answer.decoder.calls)
        messages = (*self._call.messages, turn) if turn is not None else self._call.messages
        self._call, self._taken = answer.next_call(messages, facts.get("response_id")), True
        if self._work is not None and self._work.takes(calls, facts.get("finish_reason")):
            self._work.count(calls)
            self._work.pause(self._plan, self._call, calls, self._folder.usage)
            await self._end_round(answer)
            return await self._run_tools(self._work, calls, {})
        response = self._response(messages)
        if self._structure is None or (calls and self._call.tools):
            return self._done(response)
        try:
            return self._done(response.evolve(parsed=self._structure.parse(response)))
        except OutputInvalid as error:
            prompt = self._structure.repair(error)
        await self._end_round(answer)
        self._call = self._call.answered([Message(role="user", content=prompt)])
        return [Status("repair", {"prompt": prompt}), self._next_answer()]

    def _done(self, response: Response) -> list[Event]:
        self._result = response
        return [Done(response)]

    async def _run_tools(
        self, work: ToolWork, calls: Sequence[ToolCall], denied: Mapping[str, str]
    ) -> list[Event]:
        results = await self._clocks.wait_total(work.run(calls, denied, self._telemetry))
        self._call = self._call.answered(
            [tool_message(result) for result in results], may_call=work.ended is None
        )
        ended = [Status("tools_stopped", {"reason": work.ended})] if work.ended is not None else []
        return [*results, *ended, self._next_answer()]

    async def _end_round(self, answer: Round) -> None:
        await answer.aclose()
        self._attempts_before += answer.attempts
        self._payloads_before += answer.payloads
        self._round = None
        if self._structure is not None:
            self._structure.restart()

    def _next_answer(self) -> Status:
        self._taken = False
        self._answers += 1
        return Status("round", {"number": self._answers + 1})

    async def _fall_back(self, error: AquilaError) -> Event:
        """Let the next model take over; possible only as long as nothing of an answer was given out.

        Raises:
            AquilaError: The error itself, when nobody can take over.
        """
        failed = self._round
        given_out = self._answers or (failed is not None and failed.content_seen)
        if given_out or not self._fallbacks or not may_fall_back(error):
            raise self.complete(error)
        if failed is not None:
            await self._end_round(failed)
            # As with a repetition, what the failed request gave is no part of the answer.
            self._payloads_before.clear()
        await self._transport.aclose()
        said = str(self._scrub(error))
        before = self._call.model
        self._go_by(self._fallbacks.pop(0))
        return Status("fallback", {"from": before, "to": self._call.model, "error": said})

    @property
    def _attempts(self) -> int:
        return self._attempts_before + (self._round.attempts if self._round is not None else 0)

    def _response(self, messages: tuple[Message, ...], **facts: Any) -> Response:
        present = self._round
        payloads = self._payloads_before + (present.payloads if present is not None else [])
        return self._folder.response(
            messages,
            request_id=present.request_id if present is not None else None,
            rate_limits=present.rate_limits if present is not None else None,
            attempts=self._attempts,
            time_to_first_chunk=self._clocks.time_to_first_chunk,
            elapsed=self._clocks.elapsed(),
            payloads=tuple(payloads),
            **facts,
        )

    def _scrub(self, error: AquilaError) -> AquilaError:
        return scrub(error, self._plan.destination.secrets)
