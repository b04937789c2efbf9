from __future__ import annotations

import re
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import anyio
import pytest
from job_rows import add, claim
from job_values import running_job
from prometheus_client import generate_latest
from sqlalchemy import event

from aquila.errors import ConfigError
from jobs import claims
from jobs.claims import Captured
from jobs.cli.metrics_port import open_metrics
from jobs.database import Database
from jobs.metrics import Metrics
from jobs.observing import Observation
from jobs.prometheus import PrometheusMetrics
from jobs.row_counts import GOOD_FOR, RowCounts
from jobs.rows import Job

pytest_plugins = ["job_fixtures"]

CAPTURED = Captured(usage={"input_tokens": 7, "output_tokens": 5}, time_to_first_chunk=0.2, cost=0.25)
LABELS = '{actor="add",queue="default"}'


class Now:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def metrics() -> Iterator[PrometheusMetrics]:
    made = PrometheusMetrics()
    yield made
    made.close()


@pytest.fixture
def job() -> Job:
    return running_job(actor_name="add", queue_name="default")


def scraped(url: str) -> dict[str, float]:
    """What Prometheus would read: each series with its value."""
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own server
        return parsed(answer.read())


def shown(metrics: PrometheusMetrics) -> dict[str, float]:
    return parsed(generate_latest(metrics.registry))


def parsed(text: bytes) -> dict[str, float]:
    lines = re.findall(r"^([a-z_]+(?:\{.*\})?) (\S+)$", text.decode(), re.MULTILINE)
    return {series: float(value) for series, value in lines}


def test_what_attempts_did_is_read_over_http(metrics: PrometheusMetrics, job: Job) -> None:
    url = metrics.serve("127.0.0.1", 0)
    metrics.started(job)
    metrics.ended(job, "completed", 1.5, CAPTURED)
    metrics.started(job)
    metrics.ended(job, "retryable", 0.5, Captured())
    metrics.started(job)
    metrics.rescued(job)

    seen = scraped(url)
    assert seen['aquila_jobs_attempts_total{actor="add",outcome="completed",queue="default"}'] == 1
    assert seen['aquila_jobs_attempts_total{actor="add",outcome="retryable",queue="default"}'] == 1
    assert seen[f"aquila_jobs_attempt_duration_seconds_sum{LABELS}"] == 2.0
    assert seen[f"aquila_jobs_attempt_duration_seconds_count{LABELS}"] == 2
    assert seen[f"aquila_jobs_time_to_first_chunk_seconds_count{LABELS}"] == 1
    assert seen['aquila_jobs_tokens_total{actor="add",kind="input",queue="default"}'] == 7
    assert seen['aquila_jobs_tokens_total{actor="add",kind="output",queue="default"}'] == 5
    assert seen[f"aquila_jobs_cost_dollars_total{LABELS}"] == 0.25
    assert seen[f"aquila_jobs_rescued_total{LABELS}"] == 1
    assert seen['aquila_jobs_running{queue="default"}'] == 1
    assert seen["process_resident_memory_bytes"] > 0


def test_a_job_waits_from_when_it_is_due_and_never_less_than_nothing(
    metrics: PrometheusMetrics, job: Job
) -> None:
    assert job.started_at is not None
    for ahead in (3.0, -3.0):
        metrics.started(replace(job, scheduled_at=job.started_at - timedelta(seconds=ahead)))

    def waited(name: str) -> float | None:
        return metrics.registry.get_sample_value(
            f"aquila_jobs_queue_wait_seconds_{name}", {"queue": "default"}
        )

    assert (waited("sum"), waited("count")) == (3.0, 2)


def test_live_streams_that_wait_are_shown(metrics: PrometheusMetrics) -> None:
    metrics.watch_live(lambda: 3)
    metrics.watch_live(lambda: 4)

    assert shown(metrics)["aquila_jobs_live_streams_waiting"] == 4


async def test_a_loop_that_is_held_up_is_late() -> None:
    now = Now()
    metrics = PrometheusMetrics(clock=now)

    def lag(name: str) -> float:
        return metrics.registry.get_sample_value(f"aquila_jobs_loop_lag_seconds_{name}") or 0.0

    async with anyio.create_task_group() as group:
        group.start_soon(metrics.run)
        await anyio.sleep(0.1)
        now.seconds += 2.5
        with anyio.fail_after(10):
            while not lag("count"):  # noqa: ASYNC110 - it is a number
                await anyio.sleep(0.01)
        group.cancel_scope.cancel()

    assert lag("sum") == 2.0


def test_the_rows_are_counted_by_queue_and_state(database: Database) -> None:
    add(database)
    add(database, delay=60)
    held = claim(database, add(database))
    database.write(claims.complete, held, output="x", result=None, captured=Captured())
    with_rows = PrometheusMetrics(database=database)

    seen = shown(with_rows)

    states = {
        re.findall('state="(.*)"', series)[0]: value
        for series, value in seen.items()
        if series.startswith("aquila_jobs_in_state{")
    }
    assert {state: int(count) for state, count in states.items() if count} == {
        "available": 1,
        "scheduled": 1,
        "completed": 1,
    }
    assert len(states) == 7
    waited = seen['aquila_jobs_oldest_due_seconds{queue="default"}']
    assert 0 <= waited < 60


def test_scrapes_that_come_fast_count_once(database: Database) -> None:
    now, reads = Now(), []
    counts = RowCounts(database, now)
    event.listen(database.engine, "begin", reads.append)
    counts.get()
    once = len(reads)

    add(database)
    now.seconds += GOOD_FOR - 0.1
    before = len(reads)
    assert counts.get().states == {}
    assert len(reads) == before

    now.seconds += 0.2
    assert counts.get().states == {("default", "available"): 1}
    assert len(reads) == before + once


def test_what_takes_long_to_count_is_counted_seldom(database: Database) -> None:
    now = Now()
    counts = RowCounts(database, now)
    event.listen(database.engine, "begin", lambda _: setattr(now, "seconds", now.seconds + 2.0))
    counts.get()
    began = now.seconds

    now.seconds = began + 199
    counts.get()
    assert now.seconds == began + 199
    now.seconds = began + 201
    counts.get()
    assert now.seconds == began + 203


def test_without_the_database_the_other_metrics_go_on(
    job: Job, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    with_rows = PrometheusMetrics(database=database)
    with_rows.started(job)
    with database.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE aquila_jobs RENAME TO aquila_away")

    seen = shown(with_rows)

    assert seen['aquila_jobs_running{queue="default"}'] == 1
    assert not any(series.startswith("aquila_jobs_in_state") for series in seen)
    assert "jobs are not counted" in caplog.text


def test_two_registries_do_not_meet() -> None:
    first, second = PrometheusMetrics(), PrometheusMetrics()

    assert first.registry is not second.registry


def test_an_observation_tells_once_how_its_attempt_ended(metrics: PrometheusMetrics, job: Job) -> None:
    now = Now()
    with Observation(job, metrics, lambda: CAPTURED, clock=now) as seen:
        now.seconds += 2.0
        seen.end("completed")
        seen.end("cancelled")
    with pytest.raises(KeyError), Observation(job, metrics, lambda: CAPTURED, clock=now):
        raise KeyError

    def count(outcome: str) -> float | None:
        labels = {"queue": "default", "actor": "add", "outcome": outcome}
        return metrics.registry.get_sample_value("aquila_jobs_attempts_total", labels)

    assert (count("completed"), count("cancelled"), count("abandoned")) == (1, None, 1)
    assert metrics.registry.get_sample_value("aquila_jobs_running", {"queue": "default"}) == 0
    duration = {"queue": "default", "actor": "add"}
    assert metrics.registry.get_sample_value("aquila_jobs_attempt_duration_seconds_sum", duration) == 2.0


async def test_metrics_that_nobody_asked_for_count_nothing(job: Job) -> None:
    metrics, url = open_metrics(None)

    assert (type(metrics), url) == (Metrics, None)
    metrics.started(job)
    metrics.ended(job, "completed", 1.0, CAPTURED)
    metrics.rescued(job)
    metrics.watch_live(lambda: 0)
    with anyio.move_on_after(0.05) as scope:
        await metrics.run()
    metrics.close()
    assert scope.cancelled_caught


def test_each_process_serves_at_a_port_of_its_own() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    metrics, url = open_metrics(port - 1, index=1)
    try:
        assert url == f"http://127.0.0.1:{port}/metrics"
        assert scraped(url)["process_resident_memory_bytes"] > 0
    finally:
        metrics.close()


def test_a_port_that_is_taken_or_not_there_is_named() -> None:
    metrics, url = open_metrics(0)
    assert url is not None
    taken = int(url.split(":")[-1].split("/")[0])
    try:
        with pytest.raises(ConfigError, match=rf"served at 127\.0\.0\.1:{taken}: .* choose another port"):
            open_metrics(taken)
        with pytest.raises(ConfigError, match="gives process 1 the port 65536, above 65535"):
            open_metrics(65535, index=1)
        with pytest.raises(ConfigError, match=r"served at 203\.0\.113\.1:0"):
            open_metrics(0, host="203.0.113.1")
    finally:
        metrics.close()


def test_a_port_without_the_extra_is_refused_with_what_helps() -> None:
    script = """
import sys
sys.modules["prometheus_client"] = None
from aquila.errors import ConfigError
from jobs.cli.metrics_port import open_metrics
open_metrics(None)
try:
    open_metrics(0)
except ConfigError as error:
    assert "pip install 'aquila-llm[metrics]'" in str(error), error
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_a_row_without_a_start_is_running_all_the_same(metrics: PrometheusMetrics, job: Job) -> None:
    metrics.started(replace(job, started_at=None))

    assert metrics.registry.get_sample_value("aquila_jobs_running", {"queue": "default"}) == 1
