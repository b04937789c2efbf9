"""What `explain`, `trace` and `show` print."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from aquila.cli.untrusted_text import Paper
from chimeway.explain import Entry, Explanation, OutcomeCounts, StepExplanation, Trace
from jobs.cli.follow import SHORT
from jobs.local_time import full_time, local_zone


def print_explanation(paper: Paper, said: Explanation, now: datetime) -> None:
    """Print where a delivery or a run stands, and what happened.

    Args:
        paper: Where to.
        said: What is known.
        now: The time, whose zone others are told in.
    """
    _print_summary(paper, said.summary, said.remedy)
    paper.line()
    for name, value in _facts(said):
        paper.line(f"{name:<14}{value}")
    if said.steps:
        paper.line()
        for line in _steps(said.steps):
            paper.line(line)
    print_timeline(paper, said.timeline, now)


def print_trace(paper: Paper, said: Trace, now: datetime) -> None:
    """Print what became of an event.

    Args:
        paper: Where to.
        said: What is known.
        now: The time, whose zone others are told in.
    """
    _print_summary(paper, said.summary, said.remedy)
    paper.line()
    paper.line(f"event         {said.event_id}")
    paper.line(f"key           {said.idempotency_key}")
    if said.correlation_id:
        paper.line(f"correlation   {said.correlation_id}")
    for one in (*said.runs, *said.deliveries):
        paper.line()
        paper.line(f"{one.kind} {one.explained_id[:SHORT]}: {one.summary}")
        if one.remedy:
            paper.line(f"-> {one.remedy}")
    told, total = len(said.deliveries), sum(said.statuses.values())
    if told < total:
        paper.line(f"\n{total - told} more deliveries; `aquila notify ls` lists them")
    print_timeline(paper, said.timeline, now)


def print_timeline(paper: Paper, timeline: Sequence[Entry], now: datetime) -> None:
    """Print what happened, with its times in this machine's zone.

    Args:
        paper: Where to.
        timeline: What happened, in its order.
        now: The time.
    """
    paper.line(f"\nwhat happened ({local_zone(now).tzname(now)})")
    for entry in timeline:
        paper.line(f"{full_time(entry.at, now)}  {entry.source:<12}  {entry.detail}")


def outcome_lines(counts: Sequence[OutcomeCounts]) -> Iterator[str]:
    """Lay out how deliveries came out.

    Args:
        counts: By notification key and channel.

    Yields:
        A line for each; what is none of is left out.
    """
    for one in counts:
        numbers = one.to_dict()
        named = [f"{numbers[name]} {name}" for name in _NAMES if numbers[name]]
        yield f"{one.notification_key} by {one.channel}: {one.total} in all: {', '.join(named)}"


_NAMES = (
    "sent",
    "pending",
    "delayed",
    "retrying",
    "suppressed",
    "digested",
    "failed",
    "exhausted",
    "bounced",
    "cancelled",
)


def _print_summary(paper: Paper, summary: str, remedy: str | None) -> None:
    paper.line(summary)
    if remedy:
        paper.line(f"-> {remedy}")


def _facts(said: Explanation) -> Iterator[tuple[str, object]]:
    yield said.kind, said.explained_id
    yield "state", f"{said.state} ({said.reason})"
    yield "notification", f"{said.notification_id} of {said.notification_key!r}"
    yield "event", said.event_id
    if said.tenant_id != "default":
        yield "tenant", said.tenant_id
    if said.correlation_id:
        yield "correlation", said.correlation_id
    if said.kind == "delivery":
        yield "attempts", f"{said.facts.get('attempt_count', 0)} of {said.facts.get('max_attempts')}"
    if said.facts.get("run_id"):
        yield "workflow run", said.facts["run_id"]
    if said.facts.get("carrier_id"):
        yield "job", f"{said.facts['carrier_id']} ({said.facts.get('carrier_state') or 'gone'})"


def _steps(steps: Sequence[StepExplanation]) -> Iterator[str]:
    width = max(len(one.step_key) for one in steps)
    states = max(len(one.state) for one in steps)
    for one in steps:
        yield f"{one.step_key:<{width}}  {one.state:<{states}}  {one.summary}"
