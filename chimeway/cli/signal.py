"""`aquila signal`: tell what a person did, and look at what was told."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any

import typer

from aquila.cli.untrusted_text import Paper
from aquila.errors import ConfigError
from chimeway.cli.columns import result_words, signal_lines
from chimeway.cli.finding import find_signals, moment
from chimeway.cli.ids import find_id
from chimeway.models import Signal
from chimeway.rows import find_signal
from chimeway.settings import settings
from chimeway.signal import track
from chimeway.store import read
from jobs.cli.exit_codes import EXIT_CODES
from jobs.cli.follow import SHORT
from jobs.local_time import full_time

app = typer.Typer(
    help="Tell what a person did, which workflows wait for, and look at what was told.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command(
    "send", epilog="""Example: aquila signal send ada comment.answered --payload '{"comment_id": 7}'"""
)
def send(
    actor: Annotated[str, typer.Argument(help="Who did it: the recipient whose workflows hear it.")],
    event: Annotated[str, typer.Argument(help="What was done: comment.answered.")],
    *,
    tenant: Annotated[str, typer.Option(help="Whose it is.")] = "default",
    payload: Annotated[str | None, typer.Option(help="A JSON object that a wait gate may ask for.")] = None,
    dedup_key: Annotated[str | None, typer.Option(help="A second signal with this key adds nothing.")] = None,
) -> None:
    """Tell that a person did something; a worker brings it to the workflows that wait for it."""
    signal = track(tenant, actor, event, _payload(payload), dedup_key=dedup_key)
    typer.echo(f"{signal.signal_id[:SHORT]} {signal.event_name} by {signal.actor_id}")


@app.command("ls", epilog="Example: aquila signal ls --actor ada --since 1h")
def list_signals(
    *,
    actor: Annotated[str | None, typer.Option(help="Only those of this person.")] = None,
    event: Annotated[str | None, typer.Option(help="Only those of this name.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's.")] = None,
    since: Annotated[str | None, typer.Option(help="Only those told within: 90s, 15m, 12h, 7d.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
) -> None:
    """List signals, the newest first, with what came of each; not what they carry."""
    found = find_signals(actor_id=actor, event_name=event, tenant_id=tenant, since=moment(since), limit=limit)
    if as_json:
        for one in found:
            typer.echo(json.dumps(_as_json(one)))
        return
    if not found:
        typer.echo("no signals")
        return
    for line in signal_lines(found, settings().clock.now()):
        typer.echo(line)


@app.command("show", epilog="Example: aquila signal show 1f0c9a2b")
def show(
    signal_id: Annotated[
        str, typer.Argument(metavar="ID", help="A signal's id, or a part of it that begins no other.")
    ],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show a signal, what it carries, and what came of it."""
    signal = read(find_signal, find_id(signal_id, "signal").row_id)
    if signal is None:
        # Pruned since it was found.
        typer.echo("no signals")
        return
    if as_json:
        typer.echo(json.dumps({**_as_json(signal), "payload": dict(signal.payload)}, indent=2))
        return
    paper = Paper()
    for name, value in _facts(signal, settings().clock.now()):
        paper.line(f"{name:<10}{value}")


def _payload(text: str | None) -> Mapping[str, Any] | None:
    if text is None:
        return None
    try:
        read_as = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"--payload is no JSON: {error}") from None
    if not isinstance(read_as, dict):
        raise ConfigError("""--payload is a JSON object: '{"comment_id": 7}'""")
    return read_as


def _as_json(signal: Signal) -> dict[str, Any]:
    names = (
        "signal_id",
        "tenant_id",
        "actor_id",
        "event_name",
        "dedup_key",
        "occurred_at",
        "processed_at",
        "result",
    )
    values = ((name, getattr(signal, name)) for name in names)
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values}


def _facts(signal: Signal, now: datetime) -> Iterator[tuple[str, object]]:
    yield "signal", signal.signal_id
    yield "event", signal.event_name
    yield "actor", f"{signal.actor_id} of {signal.tenant_id}"
    yield "at", full_time(signal.occurred_at, now)
    if signal.dedup_key:
        yield "dedup key", signal.dedup_key
    if signal.payload:
        yield "payload", json.dumps(dict(signal.payload), ensure_ascii=False)
    yield "result", result_words(signal)
