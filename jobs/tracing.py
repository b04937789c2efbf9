"""One trace from the send to the last token: it travels in the row, and every attempt is a span of it.

This module alone spells OpenTelemetry's names for messaging. As in the client, nothing of OpenTelemetry is imported unless
the application itself has set up a provider of traces.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from aquila.telemetry.attributes import ERROR_TYPE, error_attributes
from aquila.telemetry.content import captures_content
from aquila.telemetry.listeners import find_tracer
from jobs.ending import FAILURES, Ending
from jobs.new_job import NewJob
from jobs.rows import Job

if TYPE_CHECKING:
    from contextvars import Token

    from opentelemetry.context import Context
    from opentelemetry.trace import Link, Span, Tracer

logger = logging.getLogger("jobs")

SYSTEM = "messaging.system"
OPERATION_NAME = "messaging.operation.name"
OPERATION_TYPE = "messaging.operation.type"
DESTINATION = "messaging.destination.name"
MESSAGE_ID = "messaging.message.id"
BATCH_COUNT = "messaging.batch.message_count"
ACTOR = "aquila.job.actor"
ATTEMPT = "aquila.job.attempt"
OUTCOME = "aquila.job.outcome"


def trace_carrier() -> dict[str, str] | None:
    """Give the present trace as the W3C headers have it; None without one, or if nobody listens."""
    carrier: dict[str, str] = {}
    with _harmless("inject"):
        if find_tracer() is not None:
            from opentelemetry import propagate  # noqa: PLC0415 - loaded already: there is a tracer

            propagate.inject(carrier)
    return carrier or None


@contextmanager
def tracing_sends(many: Sequence[NewJob]) -> Iterator[list[NewJob]]:
    """Watch the sending of jobs as one span, current inside the block.

    A job that was made in the same trace as it is sent in continues the span. One that was made in another keeps its own,
    and the span is linked to it.

    Args:
        many: The jobs.

    Yields:
        The jobs as they are to be stored.
    """
    before = trace_carrier()
    span, stored = None, list(many)
    with _harmless("send"):
        tracer = find_tracer()
        if tracer is not None and many:
            span = _start_send(tracer, many, before)
            stored = _continued(span, many, before)
    if span is None:
        yield stored
        return
    from opentelemetry.trace import use_span  # noqa: PLC0415 - loaded already: there is a tracer

    try:
        with use_span(span, record_exception=False, set_status_on_exception=False):
            yield stored
    except Exception as error:
        with _harmless("send"):
            _fail(span, error)
        raise
    finally:
        with _harmless("send"):
            span.end()


class AttemptSpan:
    """One attempt's span, current inside its block, so that what the actor does stands below it."""

    __slots__ = ("_context", "_span", "_token")

    def __init__(self, span: Span | None, context: Context | None) -> None:
        self._span = span
        self._context = context
        self._token: Token[Context] | None = None

    def __enter__(self) -> Self:
        if self._context is not None:
            with _harmless("attempt"):
                from opentelemetry.context import attach  # noqa: PLC0415 - loaded already: there is a tracer

                self._token = attach(self._context)
        return self

    def __exit__(self, *_: object) -> None:
        self.end("abandoned")
        if self._token is not None:
            with _harmless("attempt"):
                from opentelemetry.context import detach  # noqa: PLC0415 - loaded already: there is a tracer

                detach(self._token)

    def end(self, ending: Ending, error: BaseException | None = None) -> None:
        """End the span; every call but the first changes nothing. Leaving the block without one abandons it.

        Args:
            ending: How the attempt ended.
            error: What it failed with.
        """
        span, self._span = self._span, None
        if span is None:
            return
        with _harmless("attempt"):
            span.set_attribute(OUTCOME, ending)
            if ending in FAILURES:
                _fail(span, error)
            elif error is not None:
                span.set_attribute(ERROR_TYPE, type(error).__name__)
        with _harmless("attempt"):
            span.end()


def tracing_attempt(job: Job) -> AttemptSpan:
    """Begin to watch an attempt, as a child of the span in which its job was sent.

    `with tracing_attempt(job) as span:` makes its span current, and `span.end("completed")` says how it ended.

    Args:
        job: The row, as it was claimed.
    """
    with _harmless("attempt"):
        tracer = find_tracer()
        if tracer is not None:
            return AttemptSpan(*_start_attempt(tracer, job))
    return AttemptSpan(None, None)


def trace_ids() -> tuple[str, str] | None:
    """Give the ids of the present trace and span as they are shown; None without one. It never logs, for loggers call it."""
    # Without the module there is no span, and looking for a provider may log.
    api: Any = sys.modules.get("opentelemetry.trace")
    present = api.get_current_span().get_span_context() if api is not None else None
    if present is None or not present.is_valid:
        return None
    return api.format_trace_id(present.trace_id), api.format_span_id(present.span_id)


def _start_send(tracer: Tracer, many: Sequence[NewJob], before: Mapping[str, str] | None) -> Span:
    from opentelemetry.trace import SpanKind  # noqa: PLC0415 - loaded already: there is a tracer

    queues, actors = {new.queue_name for new in many}, {new.actor_name for new in many}
    queue_name = min(queues) if len(queues) == 1 else None
    said: dict[str, Any] = _operation("send", queue_name)
    if len(actors) == 1:
        said[ACTOR] = min(actors)
    if len(many) == 1:
        said[MESSAGE_ID] = many[0].job_id
    else:
        said[BATCH_COUNT] = len(many)
    name = "send" if queue_name is None else f"send {queue_name}"
    links = _links([new.trace for new in many if new.trace is not None and new.trace != before])
    return tracer.start_span(name, kind=SpanKind.PRODUCER, attributes=said, links=links)


def _links(carriers: Sequence[Mapping[str, str]]) -> list[Link]:
    from opentelemetry import propagate, trace  # noqa: PLC0415 - loaded already: there is a tracer
    from opentelemetry.context import Context  # noqa: PLC0415 - as above

    contexts = [
        trace.get_current_span(propagate.extract(carrier, context=Context())).get_span_context()
        for carrier in carriers
    ]
    # Many jobs are made in one span, and one link to it is enough.
    found = {(known.trace_id, known.span_id): known for known in contexts if known.is_valid}
    return [trace.Link(known) for known in found.values()]


def _continued(span: Span, many: Sequence[NewJob], before: Mapping[str, str] | None) -> list[NewJob]:
    from opentelemetry import propagate  # noqa: PLC0415 - loaded already: there is a tracer
    from opentelemetry.trace import set_span_in_context  # noqa: PLC0415 - as above

    carrier: dict[str, str] = {}
    propagate.inject(carrier, context=set_span_in_context(span))
    return [replace(new, trace=carrier) if new.trace is None or new.trace == before else new for new in many]


def _start_attempt(tracer: Tracer, job: Job) -> tuple[Span, Context]:
    from opentelemetry import propagate  # noqa: PLC0415 - loaded already: there is a tracer
    from opentelemetry.context import Context  # noqa: PLC0415 - as above
    from opentelemetry.trace import SpanKind, set_span_in_context  # noqa: PLC0415 - as above

    # Whatever span the worker itself was started in has nothing to do with the job.
    senders = propagate.extract(job.trace or {}, context=Context())
    said = {
        **_operation("process", job.queue_name),
        MESSAGE_ID: job.job_id,
        ACTOR: job.actor_name,
        ATTEMPT: job.attempt,
    }
    span = tracer.start_span(
        f"process {job.queue_name}", context=senders, kind=SpanKind.CONSUMER, attributes=said
    )
    return span, set_span_in_context(span, senders)


def _operation(name: str, queue_name: str | None) -> dict[str, Any]:
    said = {SYSTEM: "aquila", OPERATION_NAME: name, OPERATION_TYPE: name}
    return said if queue_name is None else {**said, DESTINATION: queue_name}


def _fail(span: Span, error: BaseException | None) -> None:
    from opentelemetry.trace import StatusCode  # noqa: PLC0415 - loaded already: there is a tracer

    if error is not None:
        span.set_attributes(error_attributes(error))
    # A message may quote the conversation, so it needs the same consent as the client's spans.
    span.set_status(StatusCode.ERROR, str(error) if error is not None and captures_content() else None)


@contextmanager
def _harmless(step: str) -> Iterator[None]:
    # A listener that raises must not take a send or an attempt with it.
    try:
        yield
    except Exception:
        logger.exception("tracing_failed step=%s", step)
