"""The one table of the soak of notifications, as text. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from soak.notify_storm import HOSTS, WORKERS, Facts
from soak.notify_verdict import Verdict

Row = tuple[str, str]
FAULTS = (
    "kill -9 of a worker",
    "SIGSTOP beyond the lease",
    "FLUSHALL",
    "kill -9 of Valkey",
    "clock moved on",
    "clock moved back",
)
#: The promises, in the order of the table.
PROMISES = (
    "lost",
    "delivery not over",
    "sent although rolled back",
    "key of two events",
    "second call without a record of the first",
    "attempts not contiguous",
    "not recorded as sent exactly once",
    "recorded as sent and no call ended so",
    "not sent and no reason",
    "not sent and not explained",
    "run not decided once at each wait",
    "stopped though nobody read",
    "e-mail claimed after it was read",
    "content in a job",
    "content in a log",
    "left at the end",
    "traceback",
    "process ended by itself",
    "soak",
)
STEPS = ("inbox", "email", "reminder")
WIDTH = 64


@dataclass(frozen=True, slots=True)
class Run:
    """What the verdict does not know."""

    seed: int
    database: str
    notifications: int
    #: Tries of hosts that the database refused.
    again: int
    seconds: float
    #: Seconds from the first call of an adapter to the last.
    sending: float


def render(run: Run, facts: Facts, verdict: Verdict) -> str:
    """Give the table."""
    rows = [
        *_scenario(run, facts, verdict),
        *_came_out(verdict),
        *_promises(verdict),
        *_figures(run, facts, verdict),
    ]
    wide = max(len(name) for name, _ in rows)
    line = "-" * max(WIDTH, wide + 12)
    return "\n".join([line, *(f"{name:<{wide}}  {value}" for name, value in rows), line])


def accuse(verdict: Verdict) -> str:
    """Name what was broken, one by one; empty if nothing was."""
    return "\n".join(
        f"BROKEN: {promise}: {said}" for promise, found in verdict.broken.items() for said in found[:20]
    )


def _scenario(run: Run, facts: Facts, verdict: Verdict) -> Iterator[Row]:
    counts = verdict.counts
    yield "rows in, seed", f"{run.database}, {run.seed}"
    yield "workers, hosts", f"{WORKERS}, {HOSTS}"
    yield "notifications", f"{run.notifications} of {counts['committed']} events"
    yield "events rolled back", str(counts["undone"])
    for fault in FAULTS:
        yield fault, str(facts.counts[fault])
    yield "starts of a worker", str(facts.counts["starts"])
    yield "read by somebody", str(counts["read"])
    yield "tries of hosts that the database refused", str(run.again)


def _came_out(verdict: Verdict) -> Iterator[Row]:
    counts = verdict.counts
    for step in STEPS:
        found = {name: counts[f"{step} {name}"] for name in ("succeeded", "suppressed", "cancelled")}
        yield f"deliveries, {step}", ", ".join(f"{name} {number}" for name, number in found.items())
    yield "runs", f"completed {counts['runs completed']}, stopped {counts['runs stopped']}"
    told = ("signals after expiry", "ended by a signal")
    yield "waits", f"{counts['waits']}, " + ", ".join(f"{counts[one]} {one}" for one in told)
    for what in ("attempts", "class", "reason"):
        found = {
            name.removeprefix(f"{what} "): number
            for name, number in counts.items()
            if name.startswith(f"{what} ")
        }
        yield f"  by {what.replace('class', 'error class')}", _listed(found)
    yield "calls of adapters", f"{counts['calls']}, {counts['cut short']} cut short"


def _promises(verdict: Verdict) -> Iterator[Row]:
    for promise in PROMISES:
        yield f"{promise} (must be 0)", str(len(verdict.broken.get(promise, ())))


def _figures(run: Run, facts: Facts, verdict: Verdict) -> Iterator[Row]:
    late = verdict.recalls
    said = (
        f"{_part(late, 0.5):.1f} / {_part(late, 0.99):.1f} / {max(late):.1f} s, {len(late)} calls"
        if late
        else "-"
    )
    yield "called again after kill -9, p50 / p99 / max", said
    sent = sum(verdict.counts[f"{step} succeeded"] for step in STEPS)
    yield (
        "deliveries sent",
        f"{sent / run.sending:.0f} a second for {run.sending:.0f} s" if run.sending else "-",
    )
    yield "RSS of the largest worker", f"{facts.rss:.0f} MiB"
    yield "total", f"{run.seconds:.0f} s"


def _listed(found: dict[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in sorted(found.items()) if number) or "-"


def _part(values: Sequence[float], part: float) -> float:
    """Give the value below which that part of them lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]
