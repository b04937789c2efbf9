"""`--metrics-port`: opens the metrics of a worker process, each at a port of its own."""

from __future__ import annotations

from aquila.errors import ConfigError
from jobs.database import Database
from jobs.metrics import Metrics

#: The last port there is.
LAST_PORT = 65_535


def open_metrics(
    port: int | None, *, host: str = "127.0.0.1", index: int = 0, database: Database | None = None
) -> tuple[Metrics, str | None]:
    """Give the metrics of a worker process, and the URL where they are served; without a port there are none.

    Args:
        port: That of the first of several processes; each has the next one. 0 takes a free one.
        host: The address to listen at.
        index: The process's number, from 0.
        database: Whose rows the first process counts; None counts none.

    Raises:
        ConfigError: The port cannot be used, or what serves it is not installed.
    """
    if port is None:
        return Metrics(), None
    chosen = port + index if port else 0
    if not 0 <= chosen <= LAST_PORT:
        raise ConfigError(f"--metrics-port {port} gives process {index} the port {chosen}, above {LAST_PORT}")
    try:
        from jobs.prometheus import PrometheusMetrics  # noqa: PLC0415 - an extra, of use only to those who ask
    except ModuleNotFoundError as error:
        raise ConfigError(
            "--metrics-port needs prometheus-client, which is not installed: pip install 'aquila-llm[metrics]'"
        ) from error
    # The rows are the same for all: it is enough that one process of a machine counts them.
    metrics = PrometheusMetrics(database=database if index == 0 else None)
    return metrics, metrics.serve(host, chosen)
