"""Spans and metrics as an application's OpenTelemetry SDK gets them, and no cost where there is none."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from aquila import errors
from aquila.events import Chunk, Retrying, Status
from aquila.messages import Message
from aquila.response import Response, Usage
from aquila.telemetry import RunTelemetry, log_request, start_run
from aquila.telemetry.providers import provider_name, server_address
from aquila.tool_call import ToolCall, ToolResult

OPENAI = "https://api.openai.com/v1"
ANSWER = Response(
    text="Hello",
    finish_reason="stop",
    model="m-2026",
    response_id="chatcmpl-1",
    request_id="req-1",
    usage=Usage(input_tokens=7, output_tokens=5, cached_tokens=3, cache_write_tokens=1, reasoning_tokens=2),
    attempts=2,
)
CALL = ToolCall("call-1", "weather", {"city": "Bern"}, '{"city": "Bern"}')


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    yield exporter
    provider.shutdown()


@pytest.fixture
def meter(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemoryMetricReader]:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    monkeypatch.setattr(metrics._internal, "_METER_PROVIDER", provider)
    yield reader
    provider.shutdown()


def start(**facts: Any) -> RunTelemetry:
    telemetry = start_run(operation="chat", model="m", facts=facts, server=OPENAI)
    assert telemetry is not None
    return telemetry


def only(spans: InMemorySpanExporter) -> ReadableSpan:
    (span,) = spans.get_finished_spans()
    return span


def said(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def points(reader: InMemoryMetricReader) -> dict[str, list[HistogramDataPoint]]:
    data = reader.get_metrics_data()
    found: dict[str, list[HistogramDataPoint]] = {}
    for resource in data.resource_metrics if data else ():
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                found[metric.name] = list(metric.data.data_points)  # type: ignore[arg-type]
    return found


def test_a_run_is_one_client_span_with_the_names_of_the_conventions(spans: InMemorySpanExporter) -> None:
    telemetry = start(
        ref="r1",
        temperature=0.5,
        top_p=None,
        max_output_tokens=100,
        reasoning={"effort": "low"},
        metadata={"user": "u1", "tags": ["a", "b"]},
        extra_body={"seed": 1, "stop": "END", "conversation": {"id": "conv-1"}},
        unknown="passed over",
    )
    telemetry.first_chunk()
    telemetry.end(ANSWER)

    span = only(spans)
    assert (span.name, span.kind, span.status.status_code) == ("chat m", SpanKind.CLIENT, StatusCode.UNSET)
    attributes = said(span)
    assert attributes.pop("gen_ai.response.time_to_first_chunk") < 1
    assert attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "m",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 100,
        "gen_ai.request.reasoning.level": "low",
        "gen_ai.request.seed": 1,
        "gen_ai.request.stop_sequences": ("END",),
        "gen_ai.request.stream": True,
        "gen_ai.output.type": "text",
        "gen_ai.conversation.id": "conv-1",
        "server.address": "api.openai.com",
        "server.port": 443,
        "aquila.ref": "r1",
        "aquila.metadata.user": "u1",
        "aquila.metadata.tags": ("a", "b"),
        "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.response.model": "m-2026",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 3,
        "gen_ai.usage.cache_write.input_tokens": 1,
        "gen_ai.usage.reasoning.output_tokens": 2,
        "aquila.request_id": "req-1",
        "aquila.attempts": 2,
    }


def test_the_span_is_a_child_of_the_callers_and_is_never_left_current(spans: InMemorySpanExporter) -> None:
    with trace.get_tracer("test").start_as_current_span("web request") as outer:
        telemetry = start()
        current = trace.get_current_span()
        telemetry.end(ANSWER)

    inner, _ = spans.get_finished_spans()
    assert current is outer
    assert inner.parent is not None
    assert inner.parent.span_id == outer.get_span_context().span_id


def test_the_span_is_current_where_the_run_asks_for_it(spans: InMemorySpanExporter) -> None:
    telemetry = start()

    with telemetry.active():
        trace.get_tracer("test").start_span("http").end()
    telemetry.end(ANSWER)

    http, run = spans.get_finished_spans()
    assert http.parent is not None
    assert http.parent.span_id == run.context.span_id
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_a_truncated_stream_is_an_error_with_what_had_come(spans: InMemorySpanExporter) -> None:
    partial = ANSWER.evolve(status="in_progress", finish_reason=None)
    error = errors.StreamTruncated("cut behind 'my secret plan'", partial=partial, attempts=2)

    telemetry = start()
    telemetry.end(error=error)

    span = only(spans)
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, None)
    assert said(span)["error.type"] == "StreamTruncated"
    assert said(span)["gen_ai.usage.output_tokens"] == 5
    assert "secret" not in span.to_json()


def test_an_error_status_names_status_and_request(spans: InMemorySpanExporter) -> None:
    telemetry = start()
    telemetry.end(error=errors.RateLimitError("slow down", status_code=429, request_id="req-9", attempts=3))

    attributes = said(only(spans))
    assert attributes["http.response.status_code"] == 429
    assert attributes["aquila.request_id"] == "req-9"
    assert attributes["aquila.attempts"] == 3


@pytest.mark.parametrize(
    ("response", "error"),
    [(None, None), (ANSWER.evolve(status="in_progress"), None), (None, asyncio.CancelledError())],
)
def test_a_run_that_its_reader_gave_up_has_not_failed(
    spans: InMemorySpanExporter, response: Response | None, error: BaseException | None
) -> None:
    telemetry = start()
    telemetry.end(response, error)

    span = only(spans)
    assert span.status.status_code is StatusCode.UNSET
    assert said(span)["aquila.given_up"] is True
    assert "error.type" not in said(span)


def test_a_run_that_waits_for_a_persons_word_has_not_failed(spans: InMemorySpanExporter) -> None:
    telemetry = start()
    telemetry.end(error=errors.Paused("approve", state={}, calls=(CALL,)))

    assert only(spans).status.status_code is StatusCode.UNSET
    assert said(only(spans))["aquila.paused"] is True
    assert "aquila.given_up" not in said(only(spans))


def test_only_the_first_end_counts(spans: InMemorySpanExporter, meter: InMemoryMetricReader) -> None:
    telemetry = start()
    telemetry.end(ANSWER)
    telemetry.end(error=errors.StreamTruncated("too late"))

    assert only(spans).status.status_code is StatusCode.UNSET
    assert [point.count for point in points(meter)["gen_ai.client.operation.duration"]] == [1]


def test_retries_rounds_and_fallbacks_are_events_of_the_span_without_content(
    spans: InMemorySpanExporter,
) -> None:
    telemetry = start()
    telemetry.note(Retrying(2, 0.5, errors.ConnectionFailed("refused")))
    telemetry.note(Status("round", {"number": 2}))
    telemetry.note(Status("fallback", {"from": "m", "to": "n", "error": "secret"}))
    telemetry.note(Status("repair", {"prompt": "secret"}))
    telemetry.note(Status("refusal", {"text": "secret"}))
    telemetry.note(Chunk("secret"))
    telemetry.end(ANSWER)

    assert [(event.name, dict(event.attributes or {})) for event in only(spans).events] == [
        ("aquila.retrying", {"aquila.attempt": 2, "aquila.delay": 0.5, "aquila.error": "ConnectionFailed"}),
        ("aquila.round", {"aquila.number": 2}),
        ("aquila.fallback", {"aquila.from": "m", "aquila.to": "n"}),
        ("aquila.repair", {}),
    ]


def test_a_tool_call_is_a_child_span_and_what_it_does_is_below_it(spans: InMemorySpanExporter) -> None:
    telemetry = start()
    with telemetry.tool(CALL) as tool:
        trace.get_tracer("test").start_span("query").end()
        tool.result(ToolResult("call-1", "weather", "sunny"))
    telemetry.end(ANSWER)

    query, call, run = spans.get_finished_spans()
    assert (call.name, call.kind, call.status.status_code) == (
        "execute_tool weather", SpanKind.INTERNAL, StatusCode.UNSET,
    )  # fmt: skip
    assert said(call) == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "weather",
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.id": "call-1",
    }
    assert call.parent is not None
    assert call.parent.span_id == run.context.span_id
    assert query.parent is not None
    assert query.parent.span_id == call.context.span_id


def test_a_tool_that_fails_or_raises_is_an_error_and_a_cancelled_one_is_not(
    spans: InMemorySpanExporter,
) -> None:
    telemetry = start()
    with telemetry.tool(CALL) as tool:
        tool.result(ToolResult("call-1", "weather", "no such city", "error"))
    with pytest.raises(ValueError, match="boom"), telemetry.tool(CALL):
        raise ValueError("boom")
    with pytest.raises(asyncio.CancelledError), telemetry.tool(CALL):
        raise asyncio.CancelledError

    failed, raised, cancelled = spans.get_finished_spans()
    assert [span.status.status_code for span in (failed, raised)] == [StatusCode.ERROR] * 2
    assert [said(span)["error.type"] for span in (failed, raised)] == ["ToolError", "ValueError"]
    assert cancelled.status.status_code is StatusCode.UNSET
    assert said(cancelled)["aquila.given_up"] is True


def test_content_is_kept_out_by_default(spans: InMemorySpanExporter) -> None:
    telemetry = start(messages=(Message(role="user", content="my secret plan"),))
    with telemetry.tool(CALL) as tool:
        tool.result(ToolResult("call-1", "weather", "secret result"))
    telemetry.end(ANSWER)

    texts = " ".join(span.to_json() for span in spans.get_finished_spans())
    assert "secret" not in texts
    assert "Hello" not in texts
    assert "Bern" not in texts


@pytest.mark.parametrize("switch", ["true", "SPAN_ONLY", "1"])
def test_content_is_captured_on_demand(
    spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch, switch: str
) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", switch)
    call = {"id": "call-1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    telemetry = start(
        messages=(
            Message(role="system", content="Be brief."),
            Message(role="user", content=[{"type": "text", "text": "Hi"}, image]),
            Message(role="assistant", extra={"tool_calls": [call]}),
            Message(role="tool", content="sunny", extra={"tool_call_id": "call-1"}),
        )
    )
    with telemetry.tool(CALL) as tool:
        tool.result(ToolResult("call-1", "weather", "sunny"))
    telemetry.end(ANSWER.evolve(reasoning="Hm.", tool_calls=(CALL,)))

    tool_span, run = spans.get_finished_spans()
    attributes = said(run)
    assert json.loads(attributes["gen_ai.system_instructions"]) == [{"type": "text", "content": "Be brief."}]
    assert json.loads(attributes["gen_ai.input.messages"]) == [
        {"role": "user", "parts": [{"type": "text", "content": "Hi"}, {"type": "image_url"}]},
        {
            "role": "assistant",
            "parts": [{"type": "tool_call", "id": "call-1", "name": "weather", "arguments": "{}"}],
        },
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "call-1", "response": "sunny"}]},
    ]
    assert json.loads(attributes["gen_ai.output.messages"]) == [
        {
            "role": "assistant",
            "parts": [
                {"type": "reasoning", "content": "Hm."},
                {"type": "text", "content": "Hello"},
                {"type": "tool_call", "id": "call-1", "name": "weather", "arguments": CALL.text},
            ],
            "finish_reason": "stop",
        }
    ]
    assert json.loads(said(tool_span)["gen_ai.tool.call.arguments"]) == {"city": "Bern"}
    assert said(tool_span)["gen_ai.tool.call.result"] == "sunny"


def test_metrics_have_the_conventions_names_and_buckets(meter: InMemoryMetricReader) -> None:
    telemetry = start()
    telemetry.first_chunk()
    telemetry.chunk()
    telemetry.chunk()
    with telemetry.tool(CALL):
        pass
    telemetry.end(ANSWER)

    found = points(meter)
    assert {name: sum(point.count for point in data) for name, data in found.items()} == {
        "gen_ai.client.operation.duration": 1,
        "gen_ai.client.operation.time_to_first_chunk": 1,
        "gen_ai.client.operation.time_per_output_chunk": 2,
        "gen_ai.client.token.usage": 2,
        "gen_ai.execute_tool.duration": 1,
    }
    duration = found["gen_ai.client.operation.duration"][0]
    assert tuple(duration.explicit_bounds) == (
        0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
    )  # fmt: skip
    assert dict(duration.attributes or {}) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "m",
        "gen_ai.response.model": "m-2026",
        "server.address": "api.openai.com",
        "server.port": 443,
    }
    tokens = found["gen_ai.client.token.usage"]
    assert {str((point.attributes or {})["gen_ai.token.type"]): point.sum for point in tokens} == {
        "input": 7, "output": 5,
    }  # fmt: skip
    assert tuple(tokens[0].explicit_bounds) == tuple(4**step for step in range(14))


def test_a_failed_run_counts_with_its_error(meter: InMemoryMetricReader) -> None:
    telemetry = start()
    telemetry.end(error=errors.IdleTimeout("quiet", seconds=1))

    (duration,) = points(meter)["gen_ai.client.operation.duration"]
    assert (duration.attributes or {})["error.type"] == "IdleTimeout"


def test_a_listener_that_raises_does_not_take_the_run_with_it(
    spans: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            raise RuntimeError("a listener's own trouble")

    telemetry = start()
    trace.get_tracer_provider().add_span_processor(Broken())  # type: ignore[attr-defined]
    telemetry.end(ANSWER)

    assert "telemetry_failed step=end" in caplog.text


def test_without_an_sdk_there_is_nothing_to_do_and_nothing_is_imported() -> None:
    script = (
        "import sys\n"
        "from aquila.telemetry import start_run\n"
        "start = lambda: start_run(operation='chat', model='m', facts={}, server=None)\n"
        "assert start() is None\n"
        "assert not any(name.startswith('opentelemetry') for name in sys.modules)\n"
        "from opentelemetry import metrics, trace\n"
        "assert start() is None\n"
        "trace.set_tracer_provider(trace.NoOpTracerProvider())\n"
        "assert start() is None\n"
    )

    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


@pytest.mark.parametrize(
    ("server", "name"),
    [
        (OPENAI, "openai"),
        ("https://team.openai.azure.com/openai/v1", "azure.ai.openai"),
        ("https://openrouter.ai/api/v1", "openrouter"),
        ("https://notopenrouter.ai/api/v1", "notopenrouter.ai"),
        ("https://llm.example.org/v1", "llm.example.org"),
        ("http://127.0.0.1:8080/v1", "127.0.0.1"),
        ("http://aquila.local/v1", "local"),
        ("api.groq.com", "groq"),
        ("http://[broken/v1", "unknown"),
        (None, "unknown"),
    ],
)
def test_the_provider_is_named_after_the_host(server: str | None, name: str) -> None:
    assert provider_name(server) == name


def test_the_address_has_the_port_that_is_used() -> None:
    assert server_address("http://127.0.0.1:8080/v1") == ("127.0.0.1", 8080)
    assert server_address("http://llm.example/v1") == ("llm.example", 80)
    assert server_address("http://llm.example:x/v1") == (None, None)


def test_a_request_is_one_line_at_debug(caplog: pytest.LogCaptureFixture) -> None:
    facts: dict[str, Any] = {"ref": "r1", "model": "m one", "attempt": 2, "seconds": 1.23456}

    with caplog.at_level(logging.INFO, logger="aquila"):
        log_request(status=200, request_id="req-1", **facts)
    with caplog.at_level(logging.DEBUG, logger="aquila"):
        log_request(status=200, request_id="req\n1", **facts)
        log_request(status=None, request_id=None, error=errors.ConnectionFailed("secret"), **facts)

    assert caplog.messages == [
        "request_done ref=r1 model=m_one status=200 request_id=req_1 attempt=2 seconds=1.235 error=-",
        "request_done ref=r1 model=m_one status=- request_id=- attempt=2 seconds=1.235 error=ConnectionFailed",
    ]
