"""`aquila jobs dead` and `aquila jobs retry-all`: the jobs that were discarded."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Annotated, TypeAlias

import typer

from aquila.sink.printable import one_line
from jobs.broker import runtime
from jobs.cli.follow import SHORT
from jobs.cli.since import database_time, moment
from jobs.cli.table import zoned
from jobs.discarded import dead_letters, retry_all
from jobs.local_time import full_time
from jobs.rows import Job

#: Characters of a reason that are shown; `--json` has them all.
LONGEST = 500

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
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
) -> None:
    """List the jobs that were discarded, with the reason; those discarded last first."""
    found = dead_letters(limit=limit, queue_name=queue_name, actor_name=actor_name, since=moment(since))
    if as_json:
        for job in found:
            typer.echo(json.dumps(job.to_dict()))
        return
    if not found:
        typer.echo("no discarded jobs")
        return
    for line in _lines(found, runtime().database().read(database_time)):
        typer.echo(line)


def retry_all_command(
    limit: Annotated[int | None, typer.Option(min=1, help="How many at most. Default: all.")] = None,
    queue_name: Queue = None,
    actor_name: ActorName = None,
    since: Since = None,
) -> None:
    """Run discarded jobs again, all or those that the options name."""
    count = retry_all(limit=limit, queue_name=queue_name, actor_name=actor_name, since=moment(since))
    typer.echo(f"{count} {'job' if count == 1 else 'jobs'} will run again")


def _lines(found: Sequence[Job], now: datetime) -> Iterator[str]:
    width = max(len("ACTOR"), *(len(job.actor_name) for job in found))
    yield f"{'JOB':<{SHORT}}  {zoned('DISCARDED', now)}  {'ACTOR':<{width}}  REASON"
    for job in found:
        ended = full_time(job.ended_at or job.created_at, now)
        yield f"{job.job_id[:SHORT]}  {ended}  {job.actor_name:<{width}}  {_why(job)}"


def _why(job: Job) -> str:
    said = job.reason or ""
    if job.errors:
        last = job.errors[-1]
        said = f"{last['error']}: {last['message']}" + (f" ({said})" if said else "")
    return one_line(said, LONGEST) or "no reason is stored"
