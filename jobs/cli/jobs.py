"""`aquila jobs`: look at jobs, follow them, cancel them, run them again."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, TypeAlias

import anyio
import typer
from sqlalchemy import Connection

from aquila.cli.untrusted_text import Paper
from aquila.errors import ConfigError
from jobs import census, rows
from jobs.broker import runtime
from jobs.cli.dead_letters import dead_command, retry_all_command
from jobs.cli.exit_codes import EXIT_CODES
from jobs.cli.facts import facts
from jobs.cli.follow import SHORT, print_events, print_stored
from jobs.cli.prune import prune_command
from jobs.cli.since import database_time, moment
from jobs.cli.table import lines
from jobs.finding import find
from jobs.handle import JobHandle
from jobs.rows import Job
from jobs.tables import STATES
from jobs.waiting import why_waiting

app = typer.Typer(
    help="Look at jobs, follow them, cancel them, run them again.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    rich_markup_mode=None,
)
JobId: TypeAlias = Annotated[
    str, typer.Argument(metavar="ID", help="A job's id, or a part of it that begins no other.")
]
Lines: TypeAlias = Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")]


@app.command("ls")
def list_jobs(
    state: Annotated[str | None, typer.Option(help=f"Only these: {', '.join(STATES)}.")] = None,
    queue_name: Annotated[str | None, typer.Option("--queue", help="Only those of this queue.")] = None,
    actor_name: Annotated[str | None, typer.Option("--actor", help="Only those of this actor.")] = None,
    tag: Annotated[str | None, typer.Option(help="Only those with this tag.")] = None,
    since: Annotated[str | None, typer.Option(help="Only those added within: 90s, 15m, 12h, 7d.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 20,
    as_json: Lines = False,
) -> None:
    """List jobs, the newest first; times are those of this machine's zone."""
    found = find(
        state=state,
        queue_name=queue_name,
        actor_name=actor_name,
        tag=tag,
        since=moment(since),
        limit=limit,
    )
    if as_json:
        for job in found:
            typer.echo(json.dumps(job.to_dict()))
        return
    if not found:
        typer.echo("no jobs")
        return
    database = runtime().database()
    for line in lines(found, database.read(database_time)):
        typer.echo(line)
    for reason in database.read(_what_holds_up, found):
        _note(reason)


@app.command("show")
def show(
    job_id: JobId,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object with every field.")] = False,
) -> None:
    """Show a job's row; times are those of this machine's zone."""
    handle = _handle(job_id)
    if as_json:
        typer.echo(json.dumps(handle.job().to_dict(), indent=2))
        return
    job, waits, worker, now = runtime().database().read(_look, handle.job_id)
    paper = Paper()
    for name, value in facts(job, waits=waits, worker=worker, now=now):
        paper.line(f"{name:<20} {value}")
    trace = job.errors[-1].get("traceback") if job.errors else None
    if trace:
        paper.line(f"\n{trace.rstrip()}")
    if job.output:
        paper.line(f"\n{job.output}")


@app.command("follow")
def follow_command(job_id: JobId, as_json: Lines = False) -> None:
    """Print what a job says, from its beginning, while it says it; exit with 1 if it is discarded or cancelled."""
    job = _handle(job_id).job()
    if job.ended and not as_json:
        print_stored(job)
        return
    waits = runtime().database().read(why_waiting, job)
    if waits:
        _note(waits)
    anyio.run(print_events, job.job_id, as_json)


@app.command("cancel")
def cancel(job_id: JobId) -> None:
    """Cancel a job, running or not."""  # noqa: DOC501 - users read this
    handle = _handle(job_id)
    if not handle.cancel():
        raise ConfigError(f"job {handle.job_id[:SHORT]} has ended already: it is {handle.status()}")
    typer.echo(f"{handle.job_id[:SHORT]} cancelled")


@app.command("retry")
def retry(
    job_id: JobId,
    yes: Annotated[
        bool, typer.Option("--yes", help="Also a completed job, whose steps are repeated.")
    ] = False,
) -> None:
    """Run a job again that has ended, or run one now that waits for its time."""  # noqa: DOC501 - users read this
    handle = _handle(job_id)
    short = handle.job_id[:SHORT]
    if handle.status() == "completed" and not yes:
        raise ConfigError(f"job {short} is completed; running it again repeats its steps: add --yes")
    if not handle.retry():
        raise ConfigError(f"job {short} is {handle.status()}; it runs without being asked again")
    typer.echo(f"{short} will run again")


app.command("dead")(dead_command)
app.command("retry-all")(retry_all_command)
app.command("prune")(prune_command)


def _handle(prefix: str) -> JobHandle:
    return JobHandle(runtime().database().read(rows.resolve_prefix, prefix))


def _note(reason: str) -> None:
    typer.echo(f"note: {reason}", err=True)


def _look(connection: Connection, job_id: str) -> tuple[Job, str | None, census.Worker | None, datetime]:
    job = rows.get(connection, job_id)
    alive = {worker.worker_id: worker for worker in census.alive(connection)}
    worker = alive.get(job.worker_id) if job.worker_id else None
    return job, why_waiting(connection, job), worker, database_time(connection)


def _what_holds_up(connection: Connection, found: Iterable[Job]) -> list[str]:
    """Say what is in the way of jobs that are due: of each queue, one is asked."""
    due = {job.queue_name: job for job in found if job.state == "available"}
    reasons = (why_waiting(connection, job) for job in due.values())
    return list(dict.fromkeys(reason for reason in reasons if reason))
