"""What the rows, the readers and the workers' logs must agree on at the end."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jobs.rows import Job
from soak.followers import judge
from soak.storm import CALM_LEASE, STAY, Book, Entry, Kill

#: A start of an actor: when, and in which process.
Start = tuple[float, int]


@dataclass(slots=True)
class Verdict:
    """What came out."""

    states: Counter[str] = field(default_factory=Counter)
    #: Job ids, with what is wrong, by the promise that is broken.
    lost: list[str] = field(default_factory=list)
    discarded: list[str] = field(default_factory=list)
    wrong_output: list[str] = field(default_factory=list)
    wrong_cancel: list[str] = field(default_factory=list)
    wrong_attempts: list[str] = field(default_factory=list)
    #: Jobs whose end was not stored exactly once.
    wrong_endings: list[str] = field(default_factory=list)
    #: Jobs that ran on a healthy worker for several leases and started again, and those that were looked at.
    restarted: list[str] = field(default_factory=list)
    stayed: int = 0
    #: Jobs that ran although their transactions were rolled back, keys that two jobs had, and what is wrong with steps.
    ran_undone: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    wrong_steps: list[str] = field(default_factory=list)
    #: What is left although every job has ended.
    left: list[str] = field(default_factory=list)
    wrong_stream: list[str] = field(default_factory=list)
    #: What the workers must not do.
    tracebacks: list[str] = field(default_factory=list)
    deserters: list[str] = field(default_factory=list)
    #: Whatever kept the soak from being what it should.
    unfinished: list[str] = field(default_factory=list)
    #: Of those who read while the jobs ran, and of those who came at the end.
    live: Counter[str] = field(default_factory=Counter)
    late: Counter[str] = field(default_factory=Counter)
    more_attempts: int = 0
    #: Seconds from the kill of a worker to the next start of each job it held.
    reruns: list[float] = field(default_factory=list)

    def broken(self) -> dict[str, list[str]]:
        """Give the broken promises."""
        promises = {
            "lost": self.lost,
            "discarded": self.discarded,
            "output is not the expected text": self.wrong_output,
            "cancel did not hold": self.wrong_cancel,
            "attempts are not accounted for": self.wrong_attempts,
            "end is not stored once": self.wrong_endings,
            "healthy job started again": self.restarted,
            "ran although rolled back": self.ran_undone,
            "unique key": self.doubled,
            "step": self.wrong_steps,
            "left at the end": self.left,
            "live stream": self.wrong_stream,
            "traceback in a worker": self.tracebacks,
            "worker ended by itself": self.deserters,
            "soak": self.unfinished,
        }
        return {promise: found for promise, found in promises.items() if found}


@dataclass(frozen=True, slots=True)
class Found:
    """What there is at the end."""

    rows: Mapping[str, Job]
    #: The starts of actors, by job id.
    starts: Mapping[str, Sequence[Start]]
    #: How often each job's end was stored.
    endings: Mapping[str, int]


def examine(book: Book, found: Found, undone: Iterable[str]) -> Verdict:
    """Check every job that was sent.

    Args:
        book: What was sent and done.
        found: What there is.
        undone: Ids of jobs whose transactions were rolled back.
    """
    verdict = Verdict()
    for job_id, entry in book.entries.items():
        _examine_job(verdict, job_id, entry, found.rows.get(job_id), book)
        if (times := found.endings.get(job_id, 0)) != 1:
            verdict.wrong_endings.append(f"{job_id} ({entry.kind}): {times} times")
        if entry.kind == "stay":
            _examine_stay(verdict, job_id, found.starts.get(job_id, ()), book)
    verdict.ran_undone += [job_id for job_id in undone if job_id in found.rows or job_id in found.starts]
    for kill in book.kills:
        verdict.reruns += _reruns(kill, found.starts)
    return verdict


def _examine_stay(verdict: Verdict, job_id: str, starts: Sequence[Start], book: Book) -> None:
    began = min((at for at, _ in starts), default=0.0)
    # A database that is away is what ends a healthy attempt.
    if any(began <= until + CALM_LEASE and start <= began + STAY for start, until in book.outages):
        return
    verdict.stayed += 1
    if len(starts) != 1:
        verdict.restarted.append(
            f"{job_id}: started {len(starts)} times, {[at - began for at, _ in starts]} s apart"
        )


def read_starts(path: Path) -> dict[str, list[Start]]:
    """Read what `soak.actors.note_start` wrote; a line that a kill cut short counts for nothing."""
    starts: defaultdict[str, list[Start]] = defaultdict(list)
    for line in path.read_text().splitlines() if path.exists() else ():
        match line.split():
            case [job_id, pid, at]:
                starts[job_id].append((float(at), int(pid)))
            case _:
                continue
    return starts


def _examine_job(verdict: Verdict, job_id: str, entry: Entry, job: Job | None, book: Book) -> None:
    name = f"{job_id} ({entry.kind})"
    if job is None or not job.ended:
        verdict.lost.append(f"{name}: {'no row' if job is None else _where(job)}")
        return
    verdict.states[job.state] += 1
    verdict.more_attempts += job.attempt > 1
    if job.state == "discarded":
        verdict.discarded.append(f"{name}: {job.errors[-1:]}")
    if not _output_fits(job, entry.expected):
        verdict.wrong_output.append(f"{name}: {job.output!r}")
    if (job.state == "cancelled") != bool(entry.cancelled):
        verdict.wrong_cancel.append(f"{name}: cancel gave {entry.cancelled}, the row is {job.state}")
    if job.state == "completed" and len(job.errors) != job.attempt - 1:
        verdict.wrong_attempts.append(f"{name}: attempt {job.attempt}, {len(job.errors)} errors")
    for when, reading, counter in (("live", entry.live, verdict.live), ("late", entry.late, verdict.late)):
        if reading is not None:
            judgement = judge(reading, job, entry.expected, book.emptied)
            counter.update(readers=1, reconnects=reading.reconnects, from_row=judgement.from_row)
            verdict.wrong_stream += [f"{name}, {when}: {judgement.wrong}"] if judgement.wrong else []


def _output_fits(job: Job, expected: str) -> bool:
    if job.state == "cancelled":
        return expected.startswith(job.output or "")
    return job.state != "completed" or job.output == expected


def _where(job: Job) -> str:
    return (
        f"still {job.state} at attempt {job.attempt}, epoch {job.epoch}, due {job.scheduled_at:%H:%M:%S}, "
        f"on the wire since {job.published_at}, lease until {job.lease_until}"
    )


def _reruns(kill: Kill, starts: Mapping[str, Sequence[Start]]) -> list[float]:
    found = []
    for job_id in kill.held:
        after = [at - kill.at for at, pid in starts.get(job_id, ()) if at > kill.at and pid != kill.pid]
        # None for a job that was cancelled meanwhile.
        found += [min(after)] if after else []
    return found
