"""`aquila jobs`: look at jobs, follow them, cancel them, run them again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, TypeAlias

import anyio
import typer

from aquila.errors import ConfigError
from jobs import census, rows
from jobs.broker import runtime
from jobs.claims import WAITS
from jobs.cli.dead_letters import dead_command, retry_all_command
from jobs.cli.follow import SHORT, print_events, print_stored
from jobs.cli.prune import prune_command
from jobs.handle import JobHandle
from jobs.rows import Job
from jobs.tables import STATES, State

app = typer.Typer(
    help="Look at jobs, follow them, cancel them, run them again.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
JobId: TypeAlias = Annotated[
    str, typer.Argument(metavar="ID", help="A job's id, or a part of it that begins no other.")
]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


@app.command("ls")
def list_jobs(
    state: Annotated[str | None, typer.Option(help=f"Only these: {', '.join(STATES)}.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 20,
    as_json: Json = False,
) -> None:
    """List jobs, the newest first."""
    database = runtime().database()
    found = database.read(rows.latest, state=_state(state), limit=limit)
    for job in found:
        typer.echo(json.dumps(job.to_dict()) if as_json else _line(job))
    if as_json:
        return
    if not found:
        typer.echo("no jobs")
    for job in found:
        if job.state == "available":
            _note_nobody(job)
            break


@app.command("show")
def show(job_id: JobId, as_json: Json = False) -> None:
    """Show a job's row."""
    job = _handle(job_id).job()
    if as_json:
        typer.echo(json.dumps(job.to_dict(), indent=2))
        return
    for name, value in _facts(job):
        typer.echo(f"{name:<20} {value}")
    for error in job.errors:
        typer.echo(f"{'attempt ' + str(error['attempt']):<20} {error['error']}: {error['message']}")
    trace = job.errors[-1].get("traceback") if job.errors else None
    if trace:
        typer.echo(f"\n{trace.rstrip()}")
    if job.output:
        typer.echo(f"\n{job.output}")


@app.command("follow")
def follow_command(job_id: JobId, as_json: Json = False) -> None:
    """Print what a job says, from its beginning, while it says it."""
    job = _handle(job_id).job()
    if job.ended and not as_json:
        print_stored(job)
        return
    if not job.ended:
        _note_nobody(job)
    anyio.run(print_events, job.job_id, as_json)


@app.command("cancel")
def cancel(job_id: JobId) -> None:
    """Cancel a job, running or not."""  # noqa: DOC501 - users read this
    handle = _handle(job_id)
    if not handle.cancel():
        raise ConfigError(f"job {handle.job_id[:SHORT]} has ended already: it is {handle.status()}")
    typer.echo(f"{handle.job_id[:SHORT]} cancelled")


@app.command("retry")
def retry(job_id: JobId) -> None:
    """Run a job again that has ended, or run one now that waits for its time."""  # noqa: DOC501 - users read this
    handle = _handle(job_id)
    if not handle.retry():
        raise ConfigError(
            f"job {handle.job_id[:SHORT]} is {handle.status()}; it runs without being asked again"
        )
    typer.echo(f"{handle.job_id[:SHORT]} will run again")


app.command("dead")(dead_command)
app.command("retry-all")(retry_all_command)
app.command("prune")(prune_command)


def _note_nobody(job: Job) -> None:
    nobody = census.serves(runtime().database().read(census.alive), job.queue_name, job.actor_name)
    if nobody:
        typer.echo(f"note: {nobody}", err=True)


def _handle(prefix: str) -> JobHandle:
    return JobHandle(runtime().database().read(rows.resolve_prefix, prefix))


def _state(name: str | None) -> State | None:
    for state in STATES:
        if name == state:
            return state
    if name is not None:
        raise ConfigError(f"no state {name!r}; the states are {', '.join(STATES)}")
    return None


def _line(job: Job) -> str:
    attempts = f"{job.attempt}/{job.max_attempts}"
    return f"{job.job_id[:SHORT]}  {job.state:<10} {attempts:>5}  {_time(job.created_at)}  {job.actor_name}"


def _time(value: datetime | None) -> str:
    return value.astimezone().strftime("%Y-%m-%d %H:%M:%S") if value else "-"


def _facts(job: Job) -> Iterator[tuple[str, object]]:
    yield "job", job.job_id
    yield "actor", f"{job.actor_name} (queue {job.queue_name})"
    yield "state", job.state
    yield "attempts", f"{job.attempt} of {job.max_attempts}"
    yield "created", _time(job.created_at)
    yield "due" if job.started_at is None else "started", _time(job.started_at or job.scheduled_at)
    if job.ended_at:
        yield "ended", _time(job.ended_at)
    if job.started_at and job.ended_at:
        yield "time", f"{(job.ended_at - job.started_at).total_seconds():.2f} s"
    if job.time_to_first_chunk is not None:
        yield "time to first chunk", f"{job.time_to_first_chunk:.2f} s"
    for name, value in (
        ("model", job.model),
        ("finish reason", job.finish_reason),
        ("cassette", job.cassette),
    ):
        if value:
            yield name, value
    if job.usage:
        yield (
            "tokens",
            ", ".join(f"{name.removesuffix('_tokens')} {count}" for name, count in job.usage.items()),
        )
    yield from _metadata(job)


def _metadata(job: Job) -> Iterator[tuple[str, object]]:
    if WAITS in job.metadata:
        yield "waits", job.metadata[WAITS]
    told = {name: value for name, value in job.metadata.items() if name != WAITS}
    if told:
        yield "metadata", json.dumps(told)
