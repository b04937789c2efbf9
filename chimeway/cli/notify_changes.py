"""`aquila notify retry`, `cancel` and `sweep`: what changes something."""

from __future__ import annotations

from typing import Annotated

import typer

from aquila.errors import ConfigError
from chimeway.cancelling import Cancelled, cancel
from chimeway.cli.ids import find_id
from chimeway.explain import explain_delivery
from chimeway.retrying import retry
from chimeway.sweeping import sweep, sweep_to_jobs
from jobs.cli.follow import SHORT
from jobs.cli.loading import import_actors


def retry_command(
    delivery_id: Annotated[
        str, typer.Argument(metavar="ID", help="A delivery's id, or a part of it that begins no other.")
    ],
) -> None:
    """Send a delivery once more that was given up, or one now that waits for its next attempt; a worker sends it."""
    found = find_id(delivery_id, "delivery")
    retry(found.row_id)
    typer.echo(f"{found.row_id[:SHORT]} is due")
    said = explain_delivery(found.row_id)
    if said.remedy:
        typer.echo(f"note: {said.summary}; {said.remedy}", err=True)


def cancel_command(
    row_id: Annotated[
        str | None,
        typer.Argument(metavar="[ID]", help="Of a delivery, a notification or an event; a part is enough."),
    ] = None,
    *,
    key: Annotated[
        str | None, typer.Option(help="All that was triggered with this cancellation key.")
    ] = None,
    tenant: Annotated[str, typer.Option(help="The key's tenant.")] = "default",
    reason: Annotated[str, typer.Option(help="A word that deliveries and runs keep.")] = "cancelled",
) -> None:
    """Take back what has not gone out yet; the workflows of notifications and events are stopped."""  # noqa: DOC501
    if (row_id is None) == (key is None):
        raise ConfigError("name an ID or a --key")
    if row_id is None:
        done = cancel(key=key, tenant_id=tenant, reason=reason)
    else:
        found = find_id(row_id, "delivery", "notification", "event")
        done = cancel(
            delivery_id=found.row_id if found.kind == "delivery" else None,
            notification_id=found.row_id if found.kind == "notification" else None,
            event_id=found.row_id if found.kind == "event" else None,
            tenant_id=found.tenant_id,
            reason=reason,
        )
    typer.echo(cancelled_words(done))


def sweep_command(
    modules: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODULES]...",
            help="Modules that configure chimeway and declare notifiers: then this process does what it is to do itself.",
        ),
    ] = None,
) -> None:
    """Take up what is due and what a crash left behind, as workers do each minute.

    Workers do what is found. With modules that choose the synchronous dispatcher this process sends it itself.
    """
    if modules:
        import_actors(modules)
    swept = sweep() if modules else sweep_to_jobs()
    names = (name for name in swept.__dataclass_fields__ if getattr(swept, name))
    typer.echo(", ".join(f"{name}: {getattr(swept, name)}" for name in names) or "nothing to take up")


def cancelled_words(done: Cancelled) -> str:
    """Say what was taken back."""
    parts = [
        _counted(len(done.deliveries), "delivery", "deliveries"),
        _counted(len(done.runs), "run", "runs"),
    ]
    if done.chunks:
        parts.append(_counted(done.chunks, "part of the recipients", "parts of the recipients"))
    said = f"{' and '.join(parts)} taken back"
    return f"{said}; {len(done.sending)} being sent at this moment cannot be" if done.sending else said


def _counted(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
