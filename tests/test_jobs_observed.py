"""A job as it is seen from outside: its trace, its metrics and its log, through a real worker."""

from __future__ import annotations

import json
import logging
import re
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio import to_thread
from job_actors import add, fail_times, hold, shout, tell
from job_hosts import host_engine
from job_workers import WorkerProcess, until, until_state
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import jobs
from jobs.broker import runtime
from jobs.enqueueing import enqueue
from jobs.log_context import JobFilter
from jobs.prometheus import PrometheusMetrics
from jobs.worker import Worker
from tests import wire

pytest_plugins = ["job_fixtures"]
pytestmark = pytest.mark.usefixtures("place")

#: What Prometheus reads of a job that was done.
ADDED = re.compile(
    r'^aquila_jobs_attempts_total\{actor="add",outcome="completed",queue="default"\} 1.0$', re.MULTILINE
)


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    yield exporter
    provider.shutdown()


@asynccontextmanager
async def working(metrics: PrometheusMetrics | None = None) -> AsyncIterator[None]:
    lines: list[str] = []
    worker = Worker(runtime(), announce=lines.append, metrics=metrics)
    async with anyio.create_task_group() as group:
        group.start_soon(worker.run)
        await until(lambda: bool(lines))
        try:
            yield
        finally:
            worker.stop()
            worker.stop()


async def answer(connection: wire.Connection) -> None:
    connection.start()
    for piece in wire.answer("Hel", "lo"):
        connection.send(piece)
    connection.end()


def scraped(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own worker
        return str(answer.read().decode())


def named(spans: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    return [span for span in spans.get_finished_spans() if span.name == name]


def is_below(span: ReadableSpan, upper: ReadableSpan) -> bool:
    same = span.context.trace_id == upper.context.trace_id
    return same and span.parent is not None and span.parent.span_id == upper.context.span_id


async def test_one_trace_leads_from_the_request_to_the_model(
    spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with wire.serve(answer) as server, working():
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        with trace.get_tracer("web").start_as_current_span("request"):
            handle = await tell.asend("hello")
        assert await handle.aresult(timeout=10) == "Hello"
        await until(lambda: bool(named(spans, "process llm")))

    (request,), (send,), (process,), (chat,) = (
        named(spans, name) for name in ("request", "send llm", "process llm", "chat m")
    )
    assert is_below(send, request)
    assert is_below(process, send)
    assert is_below(chat, process)
    assert (process.attributes or {})["aquila.job.outcome"] == "completed"


async def test_the_attempts_of_a_job_stand_side_by_side(spans: InMemorySpanExporter, tmp_path: Path) -> None:
    async with working():
        handle = await fail_times.asend(str(tmp_path / "tries"), 1)
        assert await handle.aresult(timeout=10) == "done at try 2"
        await until(lambda: len(named(spans, "process default")) == 2)

    (send,) = named(spans, "send default")
    attempts = named(spans, "process default")
    assert all(is_below(span, send) for span in attempts)
    said = [dict(span.attributes or {}) for span in attempts]
    assert [(one["aquila.job.outcome"], one.get("error.type")) for one in said] == [
        ("retryable", "ValueError"),
        ("completed", None),
    ]


async def test_many_jobs_are_sent_in_one_span(spans: InMemorySpanExporter) -> None:
    handles = await jobs.asend_all([add.message(1, 2), add.message(3, 4)])

    (send,) = spans.get_finished_spans()
    assert (send.attributes or {})["messaging.batch.message_count"] == 2
    carriers = [(await handle.ajob()).trace for handle in handles]
    assert all(f"{send.context.span_id:016x}" in str(carrier) for carrier in carriers)


def test_a_job_of_the_host_s_own_transaction_is_sent_in_its_span(spans: InMemorySpanExporter) -> None:
    engine = host_engine()
    with engine.begin() as connection:
        handle = enqueue(connection, add.message(1, 2))
    engine.dispose()

    (send,) = spans.get_finished_spans()
    assert (send.name, (send.attributes or {})["messaging.message.id"]) == ("send default", handle.job_id)
    assert f"{send.context.span_id:016x}" in str(handle.job().trace)


async def test_what_a_worker_did_is_counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    metrics = PrometheusMetrics(database=runtime().database())

    def value(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(f"aquila_jobs_{name}", labels)

    gate = tmp_path / "gate"
    gate.touch()
    async with wire.serve(answer) as server, working(metrics):
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        await (await tell.asend("hello")).aresult(timeout=10)
        await (await fail_times.asend(str(tmp_path / "tries"), 1)).aresult(timeout=10)
        held = await hold.asend(str(gate))
        await until_state(held, "executing")
        running = value("running", queue="default")
        await held.acancel()
        cancelled = {"actor": "hold", "queue": "default", "outcome": "cancelled"}
        await until(lambda: value("attempts_total", **cancelled) == 1)

        told = {"queue": "llm", "actor": "tell"}
        failed = {"queue": "default", "actor": "fail_times"}
        assert running == 1
        for outcome, labels in (("completed", told), ("retryable", failed), ("completed", failed)):
            await until(lambda o=outcome, by=labels: value("attempts_total", outcome=o, **by) == 1)
        assert value("tokens_total", kind="input", **told) == 7
        assert value("time_to_first_chunk_seconds_count", **told) == 1
        assert value("queue_wait_seconds_count", queue="default") == 3
        assert value("in_state", queue="llm", state="completed") == 1
        assert value("live_streams_waiting") is not None
    assert value("running", queue="default") == 0


async def test_a_user_s_logger_names_the_job_in_threads_too() -> None:
    seen: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = seen.append  # type: ignore[method-assign]
    handler.addFilter(JobFilter())
    logger = logging.getLogger("jobs")
    logger.addHandler(handler)
    try:
        async with working():
            handle = await shout.asend(3)  # type: ignore[arg-type] - it fails in its thread
            await until_state(handle, "retryable", "discarded")
    finally:
        logger.removeHandler(handler)

    (record,) = [record for record in seen if record.levelno == logging.ERROR]
    said = {name: vars(record)[name] for name in ("job_id", "actor_name", "queue_name", "attempt")}
    assert said == {"job_id": handle.job_id, "actor_name": "shout", "queue_name": "default", "attempt": 1}


async def test_a_worker_serves_metrics_and_says_everything_in_json(tmp_path: Path) -> None:
    with WorkerProcess(tmp_path, "--metrics-port", "0", "--log-format", "json") as worker:
        await worker.ready()
        handle = await add.asend(1, 2)
        assert await handle.aresult(timeout=10) == 3
        await until(lambda: "add completed" in worker.said)
        said = [json.loads(line) for line in worker.said.splitlines()]
        url = next(one["message"] for one in said if one["message"].startswith("metrics at "))[11:]
        with anyio.fail_after(20):
            while not ADDED.search(await to_thread.run_sync(scraped, url)):  # noqa: ASYNC110 - of another process
                await anyio.sleep(0.05)

    (done,) = [one for one in said if "add completed" in one["message"]]
    assert (done["logger"], done["job_id"], done["attempt"]) == ("jobs.worker", handle.job_id, 1)


async def test_each_of_several_processes_serves_at_the_next_port(tmp_path: Path) -> None:
    with WorkerProcess(tmp_path, "--metrics-port", "0", "--processes", "2") as worker:
        await until(lambda: worker.said.count("metrics at http://127.0.0.1:") == 2)
