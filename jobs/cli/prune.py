"""`aquila jobs prune`: remove old jobs now."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from jobs.cli.durations import parse_duration
from jobs.pruner import prune

_STATES = ("completed", "cancelled", "discarded")


def prune_command(
    completed: Annotated[
        str | None,
        typer.Option(
            help="Keep completed and cancelled jobs for so long: 12h, 7d, 0. Default: as configured."
        ),
    ] = None,
    discarded: Annotated[
        str | None, typer.Option(help="Keep discarded jobs for so long: 12h, 30d, 0. Default: as configured.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what would be removed.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Remove jobs that ended long ago; a running worker does so by itself."""
    pruned = prune(
        completed=None if completed is None else parse_duration("--completed", completed),
        discarded=None if discarded is None else parse_duration("--discarded", discarded),
        dry_run=dry_run,
    )
    if as_json:
        typer.echo(json.dumps(pruned.to_dict()))
        return
    numbers = ", ".join(f"{number} {name}" for name in _STATES if (number := getattr(pruned, name)))
    done = "would be removed" if dry_run else "removed"
    typer.echo(
        f"{pruned.jobs} {'job' if pruned.jobs == 1 else 'jobs'} {done}{f': {numbers}' if numbers else ''}"
    )
