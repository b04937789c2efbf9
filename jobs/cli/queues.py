"""`aquila queues`: look at the queues, pause and resume them."""

from __future__ import annotations

import json
from typing import Annotated, TypeAlias

import typer

from jobs.broker import runtime
from jobs.cli.exit_codes import EXIT_CODES
from jobs.queues import QueueCounts, pause_queue, queue_counts, resume_queue
from jobs.tables import STATES

app = typer.Typer(
    help="Look at the queues, pause and resume them.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    rich_markup_mode=None,
)
Name: TypeAlias = Annotated[str, typer.Argument(metavar="QUEUE", help="A queue's name.")]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")]


@app.command("ls")
def list_queues(as_json: Json = False) -> None:
    """List the queues with what waits and runs in them; limits over all workers are known to these alone."""
    found = queue_counts()
    if as_json:
        for counts in found.values():
            typer.echo(json.dumps(counts.to_dict()))
        return
    if not found:
        typer.echo("no queues")
    width = max(map(len, found), default=0)
    for name, counts in found.items():
        typer.echo(f"{name:<{width}}  {'; '.join(_facts(counts))}")


@app.command("pause")
def pause(queue: Name) -> None:
    """Let workers begin no job of a queue; what runs goes on, and jobs can be sent."""
    changed = pause_queue(queue)
    _note_unknown(queue)
    typer.echo(f"{queue} paused" if changed else f"{queue} was paused already")


@app.command("resume")
def resume(queue: Name) -> None:
    """Let workers begin a queue's jobs again."""
    changed = resume_queue(queue)
    _note_unknown(queue)
    typer.echo(f"{queue} goes on" if changed else f"{queue} was not paused")


def _facts(counts: QueueCounts) -> list[str]:
    facts = [", ".join(f"{counts.states[state]} {state}" for state in STATES if state in counts.states)]
    facts[0] = facts[0] or "no jobs"
    if counts.paused_at is not None:
        facts.append(f"paused since {counts.paused_at.astimezone():%Y-%m-%d %H:%M:%S}")
    facts.append(_workers(counts))
    if counts.global_limit is not None:
        facts.append(f"{counts.global_limit} over all workers")
    return facts


def _workers(counts: QueueCounts) -> str:
    # Not the sum: the workers may be configured with a limit for all of them, which nobody else knows.
    numbers = sorted(set(counts.worker_limits))
    if not numbers:
        return "no worker"
    each = f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
    return f"{counts.workers} worker{'s' if counts.workers > 1 else ''}, limit per worker {each}"


def _note_unknown(name: str) -> None:
    counts = queue_counts().get(name)
    named = counts is not None and (counts.states or counts.workers)
    if not named and name not in runtime().settings.queues:
        typer.echo(f"note: no job and no worker has named a queue {name!r} yet", err=True)
