"""Rows as the lines of a table. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from aquila.sink.printable import one_line
from chimeway.models import Delivery, Signal, WorkflowRun
from jobs.cli.follow import SHORT
from jobs.cli.table import zoned
from jobs.local_time import full_time

#: Characters of a cell; `--json` has them all.
LONGEST = 60


def delivery_lines(found: Sequence[Delivery], now: datetime) -> Iterator[str]:
    """Lay deliveries out.

    Args:
        found: The deliveries.
        now: The time, whose zone theirs are told in.

    Yields:
        A header, which names the time zone, then a line for each.
    """
    header = ("DELIVERY", "STATUS", "TRIES", zoned("PLANNED", now), "CHANNEL", "KEY", "RECIPIENT", "REASON")
    yield from _aligned(
        header,
        (
            (
                one.delivery_id[:SHORT],
                one.status.value,
                f"{one.attempt_count}/{one.max_attempts}",
                full_time(one.created_at, now),
                one.channel,
                one.notification_key,
                one.recipient_identity,
                one.reason or (one.orchestration_state.value if not one.status.terminal else ""),
            )
            for one in found
        ),
    )


def run_lines(found: Sequence[WorkflowRun], now: datetime) -> Iterator[str]:
    """Lay runs out.

    Args:
        found: The runs.
        now: The time, whose zone theirs are told in.

    Yields:
        A header, which names the time zone, then a line for each.
    """
    header = ("RUN", "STATE", zoned("BEGAN", now), "WORKFLOW", "STEP", "RECIPIENT", "DUE", "REASON")
    yield from _aligned(
        header,
        (
            (
                one.run_id[:SHORT],
                one.state.value,
                full_time(one.started_at, now),
                f"{one.workflow_key} v{one.workflow_version}",
                one.current_step_key,
                one.recipient_identity,
                full_time(one.due_at, now) if one.due_at else "-",
                one.reason or "",
            )
            for one in found
        ),
    )


def signal_lines(found: Sequence[Signal], now: datetime) -> Iterator[str]:
    """Lay signals out, without what they carry.

    Args:
        found: The signals.
        now: The time, whose zone theirs are told in.

    Yields:
        A header, which names the time zone, then a line for each.
    """
    header = ("SIGNAL", zoned("AT", now), "EVENT", "ACTOR", "TENANT", "RESULT")
    yield from _aligned(
        header,
        (
            (
                one.signal_id[:SHORT],
                full_time(one.occurred_at, now),
                one.event_name,
                one.actor_id,
                one.tenant_id,
                result_words(one),
            )
            for one in found
        ),
    )


def result_words(signal: Signal) -> str:
    """Say what came of a signal."""
    if signal.processed_at is None:
        return "not routed yet"
    reached = (signal.result or {}).get("runs") or {}
    if not reached:
        return "no run listens"
    return ", ".join(f"{run_id[:SHORT]} {reason}" for run_id, reason in reached.items())


def _aligned(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    table = [tuple(header), *(tuple(one_line(cell, LONGEST) for cell in row) for row in rows)]
    widths = [max(len(row[place]) for row in table) for place in range(len(header))]
    for row in table:
        yield "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
