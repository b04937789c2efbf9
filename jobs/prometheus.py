"""`PrometheusMetrics`: a worker's metrics as Prometheus reads them, in a registry of their own.

An optional part of the package: importing it needs `prometheus-client`, the extra `metrics`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import anyio
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    start_http_server,
)
from prometheus_client.core import GaugeMetricFamily, Metric

from aquila.errors import AquilaError, ConfigError
from jobs.claims import Captured
from jobs.database import Database
from jobs.ending import Ending
from jobs.metrics import Metrics
from jobs.row_counts import RowCounts
from jobs.rows import Job
from jobs.tables import STATES

logger = logging.getLogger("jobs")

#: Seconds between two looks at how late the event loop is.
LAG_EVERY = 0.5
#: Upper bounds of the histograms, in seconds.
RUN_BUCKETS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
CHUNK_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
LAG_BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5)
#: What labels an attempt's metrics. A model or a job's id would make too many series.
BY_ACTOR = ("queue", "actor")


class PrometheusMetrics(Metrics):
    """Counts in a registry of its own, or in a host's."""

    def __init__(
        self,
        registry: CollectorRegistry | None = None,
        *,
        database: Database | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare the metrics.

        Args:
            registry: Where they are kept; None makes one, with the process's memory, CPU time and files as well.
            database: Whose rows are counted when they are asked for; None counts none.
            clock: Seconds that only go forward.
        """
        self.registry = registry if registry is not None else CollectorRegistry()
        if registry is None:
            ProcessCollector(registry=self.registry)
        if database is not None:
            self.registry.register(_RowCollector(RowCounts(database, clock)))
        self._clock = clock
        self._server: Any = None
        self._make_counters()
        self._make_histograms()
        self._running = Gauge("aquila_jobs_running", "Attempts that run.", ["queue"], registry=self.registry)
        self._live: Gauge | None = None

    def started(self, job: Job) -> None:
        """Count the attempt as running, and how long it waited since it was due."""
        self._running.labels(job.queue_name).inc()
        if job.started_at is not None:
            # Both are of the database's clock.
            waited = (job.started_at - job.scheduled_at).total_seconds()
            self._waits.labels(job.queue_name).observe(max(0.0, waited))

    def ended(self, job: Job, ending: Ending, seconds: float, captured: Captured) -> None:
        """Count the attempt as ended, and what it used."""
        labels = (job.queue_name, job.actor_name)
        self._running.labels(job.queue_name).dec()
        self._attempts.labels(*labels, ending).inc()
        self._seconds.labels(*labels).observe(seconds)
        if captured.time_to_first_chunk is not None:
            self._first_chunks.labels(*labels).observe(captured.time_to_first_chunk)
        for kind in ("input", "output"):
            if count := (captured.usage or {}).get(f"{kind}_tokens"):
                self._tokens.labels(*labels, kind).inc(count)
        if captured.cost:
            self._cost.labels(*labels).inc(captured.cost)

    def rescued(self, job: Job) -> None:
        """Count a job that was taken back from a worker that died."""
        self._rescued.labels(job.queue_name, job.actor_name).inc()

    def watch_live(self, waiting: Callable[[], int]) -> None:
        """Show how many live streams have something to send."""
        if self._live is None:
            said = "Live streams with something to send."
            self._live = Gauge("aquila_jobs_live_streams_waiting", said, registry=self.registry)
        self._live.set_function(waiting)

    async def run(self) -> None:
        """Measure how late the event loop is, until cancelled."""
        while True:
            due = self._clock() + LAG_EVERY
            await anyio.sleep(LAG_EVERY)
            self._lag.observe(max(0.0, self._clock() - due))

    def serve(self, host: str, port: int) -> str:
        """Answer Prometheus in a thread until `close`, and give the URL.

        Args:
            host: The address to listen at.
            port: 0 takes a free one.

        Raises:
            ConfigError: The address cannot be used.
        """
        try:
            self._server, self._thread = start_http_server(port, host, registry=self.registry)
        except OSError as error:
            raise ConfigError(
                f"metrics cannot be served at {host}:{port}: {error.strerror or error}; "
                "choose another port or host"
            ) from error
        name = f"[{host}]" if ":" in host else host
        return f"http://{name}:{self._server.server_port}/metrics"

    def close(self) -> None:
        """Stop answering; what was counted stays in the registry."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
            self._thread.join()

    def _make_counters(self) -> None:
        def counter(name: str, said: str, labels: Sequence[str]) -> Counter:
            return Counter(f"aquila_jobs_{name}", said, labels, registry=self.registry)

        self._attempts = counter(
            "attempts_total", "Attempts that ended, by how they ended.", (*BY_ACTOR, "outcome")
        )
        self._rescued = counter("rescued_total", "Jobs taken back from workers that died.", BY_ACTOR)
        self._tokens = counter(
            "tokens_total", "Tokens that providers counted: input, output.", (*BY_ACTOR, "kind")
        )
        self._cost = counter("cost_dollars_total", "US dollars, where the price is known.", BY_ACTOR)

    def _make_histograms(self) -> None:
        def histogram(name: str, said: str, labels: Sequence[str], bounds: Sequence[float]) -> Histogram:
            return Histogram(f"aquila_jobs_{name}", said, labels, buckets=bounds, registry=self.registry)

        self._seconds = histogram(
            "attempt_duration_seconds", "How long attempts took.", BY_ACTOR, RUN_BUCKETS
        )
        self._waits = histogram(
            "queue_wait_seconds", "From when a job was due to its attempt.", ("queue",), RUN_BUCKETS
        )
        self._first_chunks = histogram(
            "time_to_first_chunk_seconds",
            "From an attempt's start to its first text.",
            BY_ACTOR,
            CHUNK_BUCKETS,
        )
        self._lag = histogram("loop_lag_seconds", "How late the event loop was.", (), LAG_BUCKETS)


class _RowCollector:
    """What the rows say at the moment of a scrape, or said a few seconds before."""

    def __init__(self, counts: RowCounts) -> None:
        self._counts = counts

    def collect(self) -> Iterable[Metric]:
        """Give the gauges; none while the database is away, so that no old number passes for a new one."""
        try:
            counted = self._counts.get()
        except AquilaError as error:
            logger.warning("jobs are not counted: %s", error)
            return []
        by_state = GaugeMetricFamily(
            "aquila_jobs_in_state", "Jobs in the rows, by state.", labels=("queue", "state")
        )
        oldest = GaugeMetricFamily(
            "aquila_jobs_oldest_due_seconds", "How long the next job has been due.", labels=("queue",)
        )
        for queue in sorted({queue for queue, _ in counted.states}):
            for state in STATES:
                by_state.add_metric((queue, state), counted.states.get((queue, state), 0))
            oldest.add_metric((queue,), counted.oldest.get(queue, 0.0))
        return [by_state, oldest]
