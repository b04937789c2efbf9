"""One run as a span and a handful of measurements."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from time import perf_counter
from typing import TYPE_CHECKING, Any

from aquila.errors import Paused
from aquila.events import Event, Retrying, Status
from aquila.response import Response
from aquila.telemetry.attributes import (
    ERROR_TYPE,
    GIVEN_UP,
    PAUSED,
    RESPONSE_MODEL,
    TOKEN_TYPE,
    error_attributes,
    labels,
    request_attributes,
    response_attributes,
)
from aquila.telemetry.content import captures_content, request_content, response_content
from aquila.telemetry.listeners import Instruments, find_instruments, find_tracer
from aquila.telemetry.tool import ToolTelemetry, start_tool_span
from aquila.tool_call import ToolCall

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

logger = logging.getLogger("aquila")

#: Statuses that a span shows, each with those of its facts that hold no content.
_MILESTONES = {"round": ("number",), "fallback": ("from", "to"), "tools_stopped": ("reason",), "repair": ()}


def start_run(
    *, operation: str, model: str, facts: Mapping[str, Any], server: str | None = None
) -> RunTelemetry | None:
    """Begin to watch a run, as a child of the present span.

    Args:
        operation: `chat` or `embeddings`.
        model: The model asked for.
        facts: Fields of `Call` by name, and `ref`; those that telemetry does not know are passed over.
        server: The base URL; None when there is none.

    Returns:
        None when the application has set up neither traces nor metrics.
    """
    with _harmless("start"):
        tracer, instruments = find_tracer(), find_instruments()
        if tracer is None and instruments is None:
            return None
        return RunTelemetry(tracer, instruments, labels(operation, model, server), facts)
    return None


class RunTelemetry:
    """One run's span and measurements; made by `start_run`, ended by `end` on every path.

    The span covers all retries and rounds. It is never left current while the run's reader works: see `active`.
    """

    __slots__ = (
        "_captures", "_ended", "_first", "_instruments", "_labels", "_last", "_span", "_started", "_tracer",
    )  # fmt: skip

    def __init__(
        self,
        tracer: Tracer | None,
        instruments: Instruments | None,
        run_labels: dict[str, Any],
        facts: Mapping[str, Any],
    ) -> None:
        self._tracer = tracer
        self._instruments = instruments
        self._labels = run_labels
        self._captures = captures_content()
        self._ended = False
        self._started = self._last = perf_counter()
        #: Seconds to the first content.
        self._first: float | None = None
        self._span = None if tracer is None else self._start_span(tracer, facts)

    def active(self) -> AbstractContextManager[object]:
        """Make the span current for one await of the run's own task, such as sending a request."""
        if self._span is None:
            return nullcontext()
        from opentelemetry.trace import use_span  # noqa: PLC0415 - loaded already: there is a tracer

        return use_span(self._span, record_exception=False, set_status_on_exception=False)

    def first_chunk(self) -> None:
        """Note the run's first content; later calls change nothing."""
        if self._first is None:
            self._last = perf_counter()
            self._first = self._last - self._started

    def chunk(self) -> None:
        """Note further content, once for each read that brought some; costs nothing unless metrics are set up."""
        if self._instruments is None:
            return
        now = perf_counter()
        self._instruments.output_chunk.record(now - self._last, self._labels)
        self._last = now

    def note(self, event: Event) -> None:
        """Note a repeated request, a further round or another model taking over; other events are passed over."""
        if self._span is None:
            return
        if isinstance(event, Retrying):
            facts = {"attempt": event.attempt, "delay": event.delay}
            self._mark("retrying", {**facts, "error": type(event.error).__name__})
        elif isinstance(event, Status) and event.name in _MILESTONES:
            said = {name: event.data[name] for name in _MILESTONES[event.name] if name in event.data}
            self._mark(event.name, said)

    @contextmanager
    def tool(self, call: ToolCall) -> Iterator[ToolTelemetry]:
        """Watch one tool call, in the task that runs it; its span is current inside the block.

        What the block raises is noted and goes on.

        Yields:
            Takes the outcome by `result`.
        """
        span = None
        with _harmless("tool"):
            if self._tracer is not None and self._span is not None:
                span = start_tool_span(call, self._tracer, self._span, captures=self._captures)
        telemetry = ToolTelemetry(call, span, self._labels, captures=self._captures)
        try:
            with telemetry.active():
                yield telemetry
        except BaseException as error:
            telemetry.failed(error)
            raise
        finally:
            with _harmless("tool"):
                telemetry.end(self._instruments)

    def end(self, response: Response | None = None, error: BaseException | None = None) -> None:
        """End the run; every call but the first changes nothing.

        Args:
            response: The answer; None takes what had come from the error.
            error: What the run failed with. None with no whole answer, or a cancellation, means that its reader gave
                it up, which is no failure. Neither is Paused.
        """
        if self._ended:
            return
        self._ended = True
        with _harmless("end"):
            said: Response | None = response or getattr(error, "partial", None)
            paused = isinstance(error, Paused)
            failure = error if isinstance(error, Exception) and not paused else None
            self._measure(said, failure)
            if self._span is not None:
                self._end_span(self._span, said, failure, paused=paused)

    def _start_span(self, tracer: Tracer, facts: Mapping[str, Any]) -> Span:
        from opentelemetry.trace import SpanKind  # noqa: PLC0415 - loaded already: there is a tracer

        operation, model = self._labels["gen_ai.operation.name"], self._labels["gen_ai.request.model"]
        said = {**self._labels, **request_attributes(operation, facts)}
        span = tracer.start_span(f"{operation} {model}", kind=SpanKind.CLIENT, attributes=said)
        if self._captures and span.is_recording():
            span.set_attributes(request_content(facts.get("messages") or ()))
        return span

    def _measure(self, response: Response | None, error: Exception | None) -> None:
        instruments = self._instruments
        if instruments is None:
            return
        said = dict(self._labels)
        if response is not None and response.model:
            said[RESPONSE_MODEL] = response.model
        if self._first is not None:
            instruments.first_chunk.record(self._first, said)
        if response is not None and response.usage is not None:
            for kind in ("input", "output"):
                count = getattr(response.usage, f"{kind}_tokens")
                if count is not None:
                    instruments.tokens.record(count, {**said, TOKEN_TYPE: kind})
        if error is not None:
            said[ERROR_TYPE] = type(error).__name__
        instruments.duration.record(perf_counter() - self._started, said)

    def _end_span(
        self, span: Span, response: Response | None, error: Exception | None, *, paused: bool
    ) -> None:
        try:
            if span.is_recording():
                self._describe_end(span, response, error)
                if error is None and (response is None or response.status == "in_progress"):
                    span.set_attribute(PAUSED if paused else GIVEN_UP, True)
        finally:
            span.end()

    def _describe_end(self, span: Span, response: Response | None, error: Exception | None) -> None:
        if response is not None:
            span.set_attributes(response_attributes(response))
            if self._captures:
                span.set_attributes(response_content(response))
        if self._first is not None:
            span.set_attribute("gen_ai.response.time_to_first_chunk", self._first)
        if error is not None:
            from opentelemetry.trace import StatusCode  # noqa: PLC0415 - loaded already: there is a tracer

            span.set_attributes(error_attributes(error))
            # A message may quote the conversation, so it needs the same consent.
            span.set_status(StatusCode.ERROR, str(error) if self._captures else None)

    def _mark(self, name: str, facts: dict[str, Any]) -> None:
        with _harmless(name):
            if self._span is not None:
                attributes = {f"aquila.{fact}": value for fact, value in facts.items()}
                self._span.add_event(f"aquila.{name}", attributes)


@contextmanager
def _harmless(step: str) -> Iterator[None]:
    # A listener that raises must not take the run with it, just as a sink must not.
    try:
        yield
    except Exception:
        logger.exception("telemetry_failed step=%s", step)
