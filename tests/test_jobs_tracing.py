from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import anyio
import pytest
from job_values import new_job, running_job
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from aquila.errors import APIStatusError, RateLimitError
from aquila.telemetry import start_run
from jobs import rows
from jobs.database import Database
from jobs.ending import Ending
from jobs.new_job import NewJob
from jobs.rows import Job
from jobs.threads import Threads
from jobs.tracing import trace_carrier, trace_ids, tracing_attempt, tracing_sends

pytest_plugins = ["job_fixtures"]


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    yield exporter
    provider.shutdown()


@pytest.fixture
def job() -> Job:
    return running_job()


def new(**facts: Any) -> NewJob:
    return new_job(**{"trace": trace_carrier(), **facts})


def sent(**facts: Any) -> NewJob:
    with tracing_sends([new(**facts)]) as stored:
        return stored[0]


def span_of(spans: InMemorySpanExporter, name: str) -> ReadableSpan:
    (found,) = [span for span in spans.get_finished_spans() if span.name == name]
    return found


def is_below(span: ReadableSpan, upper: ReadableSpan) -> bool:
    same = span.context.trace_id == upper.context.trace_id
    return same and span.parent is not None and span.parent.span_id == upper.context.span_id


def test_a_send_is_a_producer_span_with_the_names_of_the_conventions(spans: InMemorySpanExporter) -> None:
    with trace.get_tracer("web").start_as_current_span("request"):
        stored = sent()

    span = span_of(spans, "send llm")
    assert (span.kind, span.status.status_code) == (SpanKind.PRODUCER, StatusCode.UNSET)
    assert dict(span.attributes or {}) == {
        "messaging.system": "aquila",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": "llm",
        "messaging.message.id": stored.job_id,
        "aquila.job.actor": "explain",
    }
    assert is_below(span, span_of(spans, "request"))
    assert list(stored.trace or {}) == ["traceparent"]
    assert f"-{span.context.trace_id:032x}-{span.context.span_id:016x}-" in str(stored.trace)


def test_a_batch_is_one_span_with_its_count(spans: InMemorySpanExporter) -> None:
    with tracing_sends([new(), new(), new(queue_name="default", actor_name="add")]) as stored:
        pass

    (span,) = spans.get_finished_spans()
    assert span.name == "send"
    assert dict(span.attributes or {}) == {
        "messaging.system": "aquila",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.batch.message_count": 3,
    }
    assert len({str(one.trace) for one in stored}) == 1


def test_a_job_that_was_made_in_another_trace_keeps_it_and_is_linked(spans: InMemorySpanExporter) -> None:
    with trace.get_tracer("web").start_as_current_span("request"):
        made = [new(), new()]
    with tracing_sends([*made, new()]) as stored:
        pass

    span = span_of(spans, "send llm")
    (link,) = span.links
    assert link.context.span_id == span_of(spans, "request").context.span_id
    assert stored[:2] == made
    assert f"{span.context.span_id:016x}" in str(stored[2].trace)


def test_a_send_that_fails_is_an_error_whose_words_are_not_in_the_span(spans: InMemorySpanExporter) -> None:
    with pytest.raises(RuntimeError), tracing_sends([new()]):
        raise RuntimeError("the prompt 'my secret plan'")

    (span,) = spans.get_finished_spans()
    assert (span.status.status_code, span.status.description, span.events) == (StatusCode.ERROR, None, ())
    assert (span.attributes or {})["error.type"] == "RuntimeError"


def test_a_sending_of_nothing_has_no_span(spans: InMemorySpanExporter) -> None:
    with tracing_sends([]) as stored:
        assert stored == []

    assert spans.get_finished_spans() == ()


def test_every_attempt_is_a_consumer_span_of_the_sender_s_trace(
    spans: InMemorySpanExporter, database: Database
) -> None:
    job = database.write(rows.add, sent())
    attempts: list[tuple[int, Ending]] = [(1, "retryable"), (2, "completed")]
    for attempt, ending in attempts:
        with tracing_attempt(replace(database.read(rows.get, job.job_id), attempt=attempt)) as span:
            span.end(ending)

    send = span_of(spans, "send llm")
    processed = [span for span in spans.get_finished_spans() if span.name == "process llm"]
    assert [span.kind for span in processed] == [SpanKind.CONSUMER] * 2
    assert all(is_below(span, send) for span in processed)
    assert dict(processed[1].attributes or {}) == {
        "messaging.system": "aquila",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "llm",
        "messaging.message.id": job.job_id,
        "aquila.job.actor": "explain",
        "aquila.job.attempt": 2,
        "aquila.job.outcome": "completed",
    }


def test_an_attempt_without_a_sender_begins_a_trace_of_its_own(spans: InMemorySpanExporter, job: Job) -> None:
    with trace.get_tracer("host").start_as_current_span("start-up"), tracing_attempt(job):
        pass

    assert span_of(spans, "process llm").parent is None


def test_baggage_travels_with_the_job_and_is_gone_behind_it(spans: InMemorySpanExporter) -> None:
    token = context.attach(baggage.set_baggage("tenant", "acme"))
    stored = sent()
    context.detach(token)

    with tracing_attempt(running_job(stored)):
        inside = baggage.get_baggage("tenant")

    assert (inside, baggage.get_baggage("tenant")) == ("acme", None)
    assert trace.get_current_span() is trace.INVALID_SPAN


async def test_what_the_actor_does_stands_below_its_attempt_in_tasks_and_in_threads(
    spans: InMemorySpanExporter, job: Job
) -> None:
    def ask(model: str) -> None:
        run = start_run(operation="chat", model=model, facts={})
        assert run is not None
        run.end()

    async def ask_in_a_task() -> None:
        ask("task")

    with tracing_attempt(job) as span:
        ask("here")
        async with anyio.create_task_group() as group:
            group.start_soon(ask_in_a_task)
        await Threads(1).run(lambda: ask("thread"))
        span.end("completed")

    attempt = span_of(spans, "process llm")
    for model in ("here", "task", "thread"):
        assert is_below(span_of(spans, f"chat {model}"), attempt)


@pytest.mark.parametrize(
    ("ending", "status"),
    [("retryable", StatusCode.ERROR), ("discarded", StatusCode.ERROR), ("waiting", StatusCode.UNSET)],
)
def test_an_attempt_says_what_it_failed_with_but_not_its_words(
    ending: Ending, status: StatusCode, spans: InMemorySpanExporter, job: Job
) -> None:
    error = RateLimitError("too many of 'my secret plan'", status_code=429)
    with tracing_attempt(job) as span:
        span.end(ending, error)

    (span_,) = spans.get_finished_spans()
    assert (span_.status.status_code, span_.status.description) == (status, None)
    assert (span_.attributes or {})["error.type"] == "RateLimitError"
    assert (span_.attributes or {})["aquila.job.outcome"] == ending


def test_the_words_are_in_the_span_where_content_may_be(
    spans: InMemorySpanExporter, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "true")
    with tracing_attempt(job) as span:
        span.end("discarded", APIStatusError("no", status_code=500))

    (span_,) = spans.get_finished_spans()
    assert span_.status.description == "no"
    assert (span_.attributes or {})["http.response.status_code"] == 500


def test_the_first_word_on_how_an_attempt_ended_counts(spans: InMemorySpanExporter, job: Job) -> None:
    with tracing_attempt(job) as span:
        span.end("cancelled")
        span.end("completed")
    with pytest.raises(KeyError), tracing_attempt(job):
        raise KeyError

    said = [(span.attributes or {})["aquila.job.outcome"] for span in spans.get_finished_spans()]
    assert said == ["cancelled", "abandoned"]


def test_the_ids_of_the_trace_are_those_of_the_span(spans: InMemorySpanExporter, job: Job) -> None:
    assert trace_ids() is None
    with tracing_attempt(job):
        ids = trace_ids()

    (span,) = spans.get_finished_spans()
    assert ids == (f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}")


def test_a_listener_that_raises_takes_neither_a_send_nor_an_attempt_with_it(
    monkeypatch: pytest.MonkeyPatch, job: Job, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(SpanProcessor):
        def on_start(self, span: Any, parent_context: Any = None) -> None:
            raise OSError("no listener")

    provider = TracerProvider()
    provider.add_span_processor(Broken())
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    made = new()

    with tracing_sends([made]) as stored, tracing_attempt(job) as span:
        span.end("completed")

    assert stored == [made]
    assert [record.getMessage() for record in caplog.records] == [
        "tracing_failed step=send",
        "tracing_failed step=attempt",
    ]


def test_nobody_listens_and_nothing_is_kept(job: Job) -> None:
    made = new()
    with tracing_sends([made]) as stored, tracing_attempt(job) as span:
        span.end("completed")

    assert stored == [made]
    assert (made.trace, trace_ids()) == (None, None)


@pytest.mark.parametrize("installed", [True, False])
def test_nothing_of_it_is_imported_where_nobody_listens(installed: bool) -> None:
    script = f"""
import sys
if not {installed}:
    sys.modules["opentelemetry"] = sys.modules["prometheus_client"] = None
    import jobs.sending, jobs.worker, jobs.cli  # With it, these load redis, which looks for it on its own.
import jobs.log_context, jobs.metrics, jobs.observing
from jobs.tracing import trace_carrier, trace_ids, tracing_sends
assert trace_carrier() is None and trace_ids() is None
with tracing_sends([]) as stored:
    assert stored == []
loaded = [name for name in sys.modules if name.startswith(("opentelemetry.", "prometheus_client."))]
assert loaded == [], loaded
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
