"""`aquila notify`: look at deliveries, say why they were or were not sent, send them once more, take them back."""

from __future__ import annotations

import json
from typing import Annotated, TypeAlias

import typer

from aquila.cli.untrusted_text import Paper
from chimeway.cli.columns import delivery_lines
from chimeway.cli.finding import find_deliveries, moment
from chimeway.cli.ids import Found, find_id
from chimeway.cli.notify_changes import cancel_command, retry_command, sweep_command
from chimeway.cli.printing import outcome_lines, print_explanation, print_trace
from chimeway.explain import (
    Explanation,
    Trace,
    aggregate_outcomes,
    explain_delivery,
    explain_notification,
    explain_run,
    trace,
    traces,
)
from chimeway.models import DeliveryStatus
from chimeway.settings import settings
from jobs.cli.exit_codes import EXIT_CODES

app = typer.Typer(
    help="Look at notifications, say why they were or were not sent, send them once more, take them back.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    rich_markup_mode=None,
)
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Tenant: TypeAlias = Annotated[str | None, typer.Option("--tenant", help="Only this tenant's.")]
Since: TypeAlias = Annotated[str | None, typer.Option(help="Only those planned within: 90s, 15m, 12h, 7d.")]
Limit: TypeAlias = Annotated[int, typer.Option(min=1, help="How many at most.")]


@app.command("ls", epilog="Example: aquila notify ls --status failed --since 1d")
def list_deliveries(
    *,
    status: Annotated[str | None, typer.Option(help=f"Only these: {', '.join(DeliveryStatus)}.")] = None,
    channel: Annotated[str | None, typer.Option(help="Only those of this channel.")] = None,
    key: Annotated[str | None, typer.Option(help="Only those of this notification key.")] = None,
    recipient: Annotated[str | None, typer.Option(help="Only those to this recipient.")] = None,
    tenant: Tenant = None,
    since: Since = None,
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """List deliveries, the newest first; times are those of this machine's zone."""
    found = find_deliveries(
        status=status,
        channel=channel,
        notification_key=key,
        recipient_identity=recipient,
        tenant_id=tenant,
        since=moment(since),
        limit=limit,
    )
    if as_json:
        for one in found:
            # Without addresses, contents and what a model wrote.
            typer.echo(json.dumps(explain_delivery(one.delivery_id).to_dict()))
        return
    if not found:
        typer.echo("no deliveries")
        return
    for line in delivery_lines(found, settings().clock.now()):
        typer.echo(line)


@app.command("explain", epilog="Example: aquila notify explain 1f0c9a2b")
def explain_command(
    row_id: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="Of a delivery, a notification, an event or a workflow run; a part that begins no other is enough.",
        ),
    ],
    *,
    as_json: AsJson = False,
) -> None:
    """Say where something stands and why, what helps, and what happened."""
    found = find_id(row_id, "delivery", "notification", "event", "run")
    if found.kind == "event":
        _tell_traces([trace(found.row_id)], as_json=as_json)
        return
    said = _explained(found)
    if as_json:
        whole = [one.to_dict() for one in said]
        typer.echo(json.dumps(whole if found.kind == "notification" else whole[0], indent=2))
        return
    paper = Paper()
    for number, one in enumerate(said):
        if number:
            paper.line()
        print_explanation(paper, one, settings().clock.now())
    if not said:
        paper.line("nothing is planned for this notification")


@app.command("trace", epilog="Example: aquila notify trace --recipient ada --limit 3")
def trace_command(
    event_id: Annotated[
        str | None, typer.Argument(metavar="[EVENT]", help="An event's id, or a part that begins no other.")
    ] = None,
    *,
    key: Annotated[str | None, typer.Option(help="The idempotency key it was triggered with.")] = None,
    correlation: Annotated[str | None, typer.Option(help="The correlation id of the events.")] = None,
    recipient: Annotated[str | None, typer.Option(help="Whom the events told.")] = None,
    tenant: Tenant = None,
    limit: Limit = 5,
    as_json: AsJson = False,
) -> None:
    """Say what became of an event, or of several: all their deliveries and workflow runs."""
    if correlation is not None or recipient is not None:
        found = traces(correlation_id=correlation, recipient=recipient, tenant_id=tenant, limit=limit)
    elif event_id is not None and key is None:
        found = [trace(find_id(event_id, "event").row_id, tenant_id=tenant)]
    else:
        found = [trace(event_id, idempotency_key=key, tenant_id=tenant)]
    _tell_traces(found, as_json=as_json)


@app.command("outcomes", epilog="Example: aquila notify outcomes --since 7d")
def outcomes_command(
    *,
    key: Annotated[str | None, typer.Option(help="Only those of this notification key.")] = None,
    channel: Annotated[str | None, typer.Option(help="Only those of this channel.")] = None,
    tenant: Tenant = None,
    since: Since = None,
    as_json: AsJson = False,
) -> None:
    """Count how deliveries came out, by notification key and channel."""
    counts = aggregate_outcomes(notification_key=key, channel=channel, since=moment(since), tenant_id=tenant)
    if as_json:
        for one in counts:
            typer.echo(json.dumps(one.to_dict()))
        return
    if not counts:
        typer.echo("no deliveries")
    paper = Paper()
    for line in outcome_lines(counts):
        paper.line(line)


app.command("retry", epilog="Example: aquila notify retry 1f0c9a2b")(retry_command)
app.command("cancel", epilog="Example: aquila notify cancel --key order-4711")(cancel_command)
app.command("sweep", epilog="Example: aquila notify sweep")(sweep_command)


def _explained(found: Found) -> list[Explanation]:
    if found.kind == "delivery":
        return [explain_delivery(found.row_id)]
    return [explain_run(found.row_id)] if found.kind == "run" else explain_notification(found.row_id)


def _tell_traces(found: list[Trace], *, as_json: bool) -> None:
    if as_json:
        for one in found:
            typer.echo(json.dumps(one.to_dict()))
        return
    paper = Paper()
    if not found:
        paper.line("no events")
    for number, one in enumerate(found):
        if number:
            paper.line()
        print_trace(paper, one, settings().clock.now())
