"""`aquila jobs dead` and `aquila jobs retry-all`: the jobs that were discarded."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Annotated, TypeAlias

import typer
from sqlalchemy import Connection, select

from jobs.broker import runtime
from jobs.cli.durations import parse_duration
from jobs.cli.follow import SHORT
from jobs.discarded import dead_letters, retry_all
from jobs.rows import Job
from jobs.sqltypes import db_now

Queue: TypeAlias = Annotated[str | None, typer.Option("--queue", help="Only those of this queue.")]
ActorName: TypeAlias = Annotated[str | None, typer.Option("--actor", help="Only those of this actor.")]
Since: TypeAlias = Annotated[
    str | None, typer.Option("--since", help="Only those discarded within: 90s, 15m, 12h, 7d.")
]


def dead_command(
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 20,
    queue_name: Queue = None,
    actor_name: ActorName = None,
    since: Since = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """List the jobs that were discarded, with the reason; those discarded last first."""
    found = dead_letters(limit=limit, queue_name=queue_name, actor_name=actor_name, since=_moment(since))
    for job in found:
        typer.echo(json.dumps(job.to_dict()) if as_json else _line(job))
    if not found and not as_json:
        typer.echo("no discarded jobs")


def retry_all_command(
    limit: Annotated[int | None, typer.Option(min=1, help="How many at most. Default: all.")] = None,
    queue_name: Queue = None,
    actor_name: ActorName = None,
    since: Since = None,
) -> None:
    """Run discarded jobs again, all or those that the options name."""
    count = retry_all(limit=limit, queue_name=queue_name, actor_name=actor_name, since=_moment(since))
    typer.echo(f"{count} {'job' if count == 1 else 'jobs'} will run again")


def _moment(since: str | None) -> datetime | None:
    if since is None:
        return None
    seconds = parse_duration("--since", since)
    return runtime().database().read(_ago, seconds)


def _ago(connection: Connection, seconds: float) -> datetime:
    now: datetime = connection.execute(select(db_now())).scalar_one()
    try:
        return now - timedelta(seconds=seconds)
    except OverflowError:
        return now.replace(year=1)


def _line(job: Job) -> str:
    ended = job.ended_at.astimezone().strftime("%Y-%m-%d %H:%M:%S") if job.ended_at else "-"
    return f"{job.job_id[:SHORT]}  {ended}  {job.actor_name}  {_why(job)}"


def _why(job: Job) -> str:
    said = job.reason or ""
    if job.errors:
        last = job.errors[-1]
        said = f"{last['error']}: {last['message']}" + (f" ({said})" if said else "")
    return " ".join(said.split()) or "no reason is stored"
