"""`aquila worker`: run jobs until a signal says to stop."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Annotated

import anyio
import typer

from jobs.broker import close, override, runtime
from jobs.cli.loading import import_actors
from jobs.cli.log_format import LogFormat, LogLevel, set_up_logging
from jobs.cli.metrics_port import open_metrics
from jobs.cli.quiet import Quiet
from jobs.processes import INDEX, Processes
from jobs.registry import actors, declared_limits
from jobs.serving import serve
from jobs.settings import parse_queues
from jobs.threads import left_behind
from jobs.worker import Worker

app = typer.Typer(rich_markup_mode=None)

#: A lease below this many seconds is told to be one.
SHORT_LEASE = 1.0
DEBUG = "--debug"


@app.callback(invoke_without_command=True, context_settings={"allow_interspersed_args": True})
def worker(
    modules: Annotated[
        list[str] | None,
        typer.Argument(metavar="[MODULES]...", help="Modules that declare actors: myapp.jobs"),
    ] = None,
    queues: Annotated[
        str | None, typer.Option(help="Serve these queues and no others, with limits: llm=10,default=10")
    ] = None,
    processes: Annotated[int, typer.Option(min=1, help="Worker processes; each has the limits.")] = 1,
    lease: Annotated[
        float | None, typer.Option(help="Seconds an attempt is held without a sign of life. Default: 15.")
    ] = None,
    grace: Annotated[
        float | None, typer.Option(help="Seconds running attempts get at the end. Default: 10.")
    ] = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(min=0, help="Serve Prometheus metrics; each further process takes the next port."),
    ] = None,
    metrics_host: Annotated[str, typer.Option(help="The address to serve them at.")] = "127.0.0.1",
    log_format: Annotated[LogFormat, typer.Option(help="One JSON object a line, or text.")] = LogFormat.text,
    log_level: Annotated[
        LogLevel,
        typer.Option(
            help="What is logged, of every logger, libraries' too. The worker's own lines always are."
        ),
    ] = LogLevel.warning,
) -> None:
    """Run jobs until SIGTERM or Ctrl-C; what is not done by then is put back."""  # noqa: DOC501 - users read this
    voice = set_up_logging(log_format, log_level)
    if processes > 1:
        options = {
            "--queues": queues,
            "--lease": lease,
            "--grace": grace,
            "--metrics-port": metrics_port,
            "--metrics-host": metrics_host,
            "--log-format": log_format.value,
            "--log-level": log_level.value,
        }
        said = [word for name, value in options.items() if value is not None for word in (name, str(value))]
        if DEBUG in sys.argv:
            # The main command takes it away, wherever it stands.
            said.append(DEBUG)
        supervisor = Processes([*(modules or []), *said], processes, announce=voice.tell)
        raise typer.Exit(anyio.run(supervisor.run))
    logging.getLogger("jobs").addFilter(Quiet())
    import_actors(modules or [])
    override(lease=lease, grace=grace)
    served = parse_queues(queues, declared_limits()) if queues else None
    for doubt in _doubts(lease, served):
        voice.warn(doubt)
    database = runtime().database() if metrics_port is not None else None
    index = int(os.environ.get(INDEX, "0"))
    metrics, url = open_metrics(metrics_port, host=metrics_host, index=index, database=database)
    if url is not None:
        voice.tell(f"metrics at {url}")
    process = Worker(runtime(), queues=served, announce=voice.tell, metrics=metrics)
    try:
        anyio.run(serve, process)
    finally:
        metrics.close()
    close()
    voice.tell("worker stopped")
    if process.threads_left or left_behind():
        # Their jobs are put back; a thread that went on would run them beside their next attempt, and keep the process.
        sys.stdout.flush()
        os._exit(0)


def _doubts(lease: float | None, served: Mapping[str, int] | None) -> Iterator[str]:
    if lease is not None and lease < SHORT_LEASE:
        yield (
            f"--lease {lease:g} is below {SHORT_LEASE:g} s: a short pause of this process or of the database "
            "costs its jobs an attempt"
        )
    used = {spec.queue_name for spec in actors().values()}
    for name in served or ():
        if name not in used:
            yield f"no loaded actor uses the queue {name!r}; they use {', '.join(sorted(used))}"
