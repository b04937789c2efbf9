"""`aquila workflow`: look at runs, stop them, approve or reject what a model wrote for them."""

from __future__ import annotations

import getpass
import json
from typing import Annotated, TypeAlias

import typer

from aquila.cli.untrusted_text import Paper
from aquila.errors import ConfigError
from chimeway.approvals.giving import approve, reject
from chimeway.approvals.waiting import pending_approvals
from chimeway.cancelling import cancel
from chimeway.cli.columns import run_lines
from chimeway.cli.finding import find_runs, moment
from chimeway.cli.ids import find_id
from chimeway.cli.notify_changes import cancelled_words
from chimeway.cli.printing import print_explanation
from chimeway.explain import explain_run
from chimeway.models import RunState
from chimeway.rows import get_run
from chimeway.settings import settings
from chimeway.store import read
from jobs.cli.exit_codes import EXIT_CODES
from jobs.cli.follow import SHORT

app = typer.Typer(
    help="Look at workflow runs, stop them, approve or reject what a model wrote for them.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    rich_markup_mode=None,
)
RunId: TypeAlias = Annotated[
    str, typer.Argument(metavar="RUN", help="A run's id, or a part of it that begins no other.")
]
By: TypeAlias = Annotated[str | None, typer.Option(help="Who decides. Default: the user of this machine.")]
Note: TypeAlias = Annotated[str | None, typer.Option(help="Why, for the run's history.")]


@app.command("ls", epilog="Example: aquila workflow ls --state waiting")
def list_runs(
    *,
    state: Annotated[str | None, typer.Option(help=f"Only these: {', '.join(RunState)}.")] = None,
    workflow: Annotated[str | None, typer.Option(help="Only those of this workflow's key.")] = None,
    recipient: Annotated[str | None, typer.Option(help="Only those for this recipient.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's.")] = None,
    since: Annotated[str | None, typer.Option(help="Only those begun within: 90s, 15m, 12h, 7d.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
) -> None:
    """List runs, the newest first; times are those of this machine's zone."""
    found = find_runs(
        state=state,
        workflow_key=workflow,
        recipient_identity=recipient,
        tenant_id=tenant,
        since=moment(since),
        limit=limit,
    )
    if as_json:
        for one in found:
            typer.echo(json.dumps(explain_run(one.run_id).to_dict()))
        return
    if not found:
        typer.echo("no workflow runs")
        return
    for line in run_lines(found, settings().clock.now()):
        typer.echo(line)


@app.command("show", epilog="Example: aquila workflow show 1f0c9a2b")
def show(
    run_id: RunId,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say where a run stands and why, what each of its steps came to, and what happened; also what is to be approved."""
    said = explain_run(find_id(run_id, "run").row_id)
    if as_json:
        typer.echo(json.dumps(said.to_dict(), indent=2))
        return
    paper = Paper()
    print_explanation(paper, said, settings().clock.now())
    for one in pending_approvals(said.tenant_id, limit=1_000):
        if one.run_id == said.explained_id and one.text is not None:
            paper.line(f"\nto be approved, what the step {one.of!r} wrote:\n{one.text}")


@app.command("cancel", epilog="Example: aquila workflow cancel 1f0c9a2b --reason resolved")
def cancel_command(
    run_id: RunId,
    *,
    reason: Annotated[str, typer.Option(help="A word that the run and its deliveries keep.")] = "cancelled",
) -> None:
    """Stop a run, and take back what it has not sent yet."""  # noqa: DOC501 - users read this
    found = find_id(run_id, "run")
    run = read(get_run, found.row_id)
    done = cancel(notification_id=run.notification_id, tenant_id=run.tenant_id, reason=reason)
    if not done.runs:
        raise ConfigError(f"workflow run {found.row_id[:SHORT]} is over already: it is {run.state}")
    typer.echo(f"{found.row_id[:SHORT]} stopped: {cancelled_words(done)}")


@app.command("approve", epilog="Example: aquila workflow approve 1f0c9a2b --by ada --note 'well put'")
def approve_command(run_id: RunId, *, by: By = None, note: Note = None) -> None:
    """Approve what a model wrote for a run, so that it goes on."""
    found = find_id(run_id, "run")
    approve(found.row_id, by=by or _user(), note=note)
    typer.echo(f"{found.row_id[:SHORT]} approved")


@app.command("reject", epilog="Example: aquila workflow reject 1f0c9a2b --by ada --note 'too long'")
def reject_command(run_id: RunId, *, by: By = None, note: Note = None) -> None:
    """Reject what a model wrote for a run; the run goes on by its rules."""
    found = find_id(run_id, "run")
    reject(found.row_id, by=by or _user(), note=note)
    typer.echo(f"{found.row_id[:SHORT]} rejected")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container may run under a number that has no name.
        raise ConfigError("this machine does not know who you are; say who decides: --by NAME") from None
