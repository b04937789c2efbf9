"""The one table, as text. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from soak.plan import KINDS
from soak.quiet import STREAMS, Measured
from soak.storm import CALM_LEASE, STAY, Book
from soak.verdict import Verdict

Row = tuple[str, str]
FAULTS = (
    "kill -9 of a worker",
    "SIGTERM of a worker",
    "SIGSTOP beyond the lease",
    "FLUSHALL",
    "kill -9 of Valkey",
    "outage of the database",
)
WIDTH = 64


@dataclass(frozen=True, slots=True)
class Run:
    """What the book does not know."""

    seed: int
    #: Where the rows are.
    database: str
    #: Starts of workers that had to be repeated because Valkey was away.
    repeated: int
    #: Requests that the model got, and those of them that it failed on purpose.
    asked: int
    failed: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Noted:
    """What was looked at beside the jobs' rows and streams."""

    #: Jobs whose transactions were rolled back.
    undone: int = 0
    #: Calls of functions of steps, and steps that are recorded.
    step_calls: int = 0
    steps: int = 0
    #: Streams of the last jobs, which must have been told their end.
    streams_ended: int = 0


def render(run: Run, book: Book, verdict: Verdict, measured: Measured, noted: Noted) -> str:
    """Give the table."""
    rows = [
        *_scenario(run, book),
        *_jobs(book, verdict),
        *_promises(book, verdict, noted),
        *_live(verdict),
        *_figures(run, verdict, measured),
    ]
    wide = max(len(name) for name, _ in rows)
    line = "-" * max(WIDTH, wide + 12)
    return "\n".join([line, *(f"{name:<{wide}}  {value}" for name, value in rows), line])


def accuse(verdict: Verdict) -> str:
    """Name what was broken, job by job; empty if nothing was."""
    return "\n".join(
        f"BROKEN: {promise}: {said}" for promise, found in verdict.broken().items() for said in found
    )


def _scenario(run: Run, book: Book) -> Iterator[Row]:
    kinds = Counter(entry.kind for entry in book.entries.values())
    yield "rows in, seed", f"{run.database}, {run.seed}"
    yield "jobs in the storm", str(sum(kinds[kind] for kind in KINDS))
    yield "  of each kind", ", ".join(f"{kind} {kinds[kind]}" for kind in KINDS if kinds[kind])
    yield "jobs beside it", ", ".join(f"{kind} {n}" for kind, n in kinds.items() if kind not in KINDS)
    for fault in FAULTS:
        yield fault, str(book.facts[fault])
    yield "requests that the provider failed", f"{run.failed} of {run.asked}"
    again = f" ({run.repeated} more while Valkey or the database was away)" if run.repeated else ""
    yield "starts of a worker", f"{book.facts['starts']}{again}"


def _jobs(book: Book, verdict: Verdict) -> Iterator[Row]:
    yield "completed", str(verdict.states["completed"])
    yield "cancelled", str(verdict.states["cancelled"])
    yield "discarded (must be 0)", str(verdict.states["discarded"])
    yield "lost (must be 0)", str(len(verdict.lost))
    yield "recorded output wrong (must be 0)", str(len(verdict.wrong_output))
    yield "cancelled but not, or the reverse (must be 0)", str(len(verdict.wrong_cancel))
    yield "attempts not accounted for (must be 0)", str(len(verdict.wrong_attempts))
    held = sum(len(kill.held) for kill in book.kills)
    yield "with more than one attempt", f"{verdict.more_attempts} ({held} times held by a killed worker)"


def _promises(book: Book, verdict: Verdict, noted: Noted) -> Iterator[Row]:
    yield (
        "ends not stored exactly once (must be 0)",
        f"{len(verdict.wrong_endings)} of {len(book.entries)}, as a trigger counts",
    )
    stayed = f"{len(verdict.restarted)} of {verdict.stayed} that ran {STAY / CALM_LEASE:.0f} leases"
    yield "healthy jobs that started again (must be 0)", stayed
    yield "rolled back by a host and run (must be 0)", f"{len(verdict.ran_undone)} of {noted.undone}"
    yield "unique keys of more than one job (must be 0)", str(len(verdict.doubled))
    calls = f"{len(verdict.wrong_steps)} of {noted.steps} steps, in {noted.step_calls} calls"
    yield "steps called or given anew (must be 0)", calls
    yield (
        "left at the end (must be 0)",
        f"{len(verdict.left)}, streams of {noted.streams_ended} jobs looked at",
    )


def _live(verdict: Verdict) -> Iterator[Row]:
    for name, counter in (
        ("live streams read", verdict.live),
        ("streams read again at the end", verdict.late),
    ):
        emptied = f"{counter['from_row']} cut short by an emptied Redis"
        yield name, f"{counter['readers']}, {counter['reconnects']} reconnects, {emptied}"
    yield "  with a gap or a duplicate (must be 0)", str(len(verdict.wrong_stream))
    yield "tracebacks of workers (must be 0)", str(len(verdict.tracebacks))
    yield "workers that ended by themselves (must be 0)", str(len(verdict.deserters))


def _figures(run: Run, verdict: Verdict, measured: Measured) -> Iterator[Row]:
    runs = verdict.reruns
    said = f"{_part(runs, 0.5):.2f} / {_part(runs, 0.99):.2f} / {max(runs):.2f} s" if runs else "-"
    yield "re-run after kill -9, p50 / p99 / max", said
    ups = [1000 * up for up in measured.pick_ups]
    said = f"{_part(ups, 0.5):.1f} / {_part(ups, 0.99):.1f} ms" if ups else "-"
    yield "idle pick-up, p50 / p99", said
    yield "plain functions in a quiet phase", _or_dash(measured.plain_per_second, "{:.0f} jobs/s")
    yield f"RSS of a worker with {STREAMS} open streams", _or_dash(measured.rss_mib, "{:.0f} MiB")
    yield "  its OS threads", _or_dash(measured.threads, "{}")
    yield "total", f"{run.seconds:.0f} s"


def _or_dash(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def _part(values: Sequence[float], part: float) -> float:
    """Give the value below which that part of them lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]
