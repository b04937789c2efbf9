"""What `aquila jobs show` prints of a job: name and value, line by line. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, TypeAlias

from aquila.sink.printable import one_line
from jobs.census import Worker
from jobs.claims import WAITS
from jobs.cli.follow import SHORT
from jobs.local_time import due_time, full_time, local_zone
from jobs.rows import Job

#: Characters of a value that are shown; `--json` has them all.
LONGEST = 200

Fact: TypeAlias = tuple[str, object]


def facts(job: Job, *, waits: str | None, worker: Worker | None, now: datetime) -> Iterator[Fact]:
    """Give a job's facts, without its output.

    Args:
        job: The job.
        waits: Why it does not run now.
        worker: Its worker, if it is alive.
        now: The time, by the database's clock.

    Yields:
        A name, and what is printed behind it.
    """
    yield "job", job.job_id
    yield "actor", f"{job.actor_name} (queue {job.queue_name})"
    yield "state", job.state
    if job.reason:
        yield "reason", one_line(job.reason, LONGEST)
    if waits:
        yield "waits", waits
    yield "attempts", f"{job.attempt} of {job.max_attempts}"
    yield from _sent(job)
    yield from _times(job, now)
    if job.worker_id:
        yield "worker", _name(job.worker_id, worker)
    yield from _answer(job)
    for error in job.errors:
        said = f"{error['error']}: {error['message']}"
        yield f"attempt {error['attempt']}", one_line(said, 10 * LONGEST)


def _sent(job: Job) -> Iterator[Fact]:
    if called := _call(job.arguments):
        yield "arguments", one_line(called, LONGEST)
    if job.tags:
        yield "tags", one_line(", ".join(job.tags), LONGEST)
    if job.unique_key:
        yield "unique key", one_line(job.unique_key, LONGEST)
    yield "priority", job.priority
    if job.timeout is not None:
        yield "timeout", f"{job.timeout:g} s for an attempt"
    if job.budget:
        known = {"tokens": "{:g} tokens", "cost": "${:g}"}
        yield "budget", ", ".join(known.get(name, name).format(most) for name, most in job.budget.items())
    if job.cassette:
        yield "cassette", one_line(job.cassette, LONGEST)
    told = {name: value for name, value in job.metadata.items() if name != WAITS}
    if told:
        yield "metadata", one_line(_json(told), LONGEST)


def _times(job: Job, now: datetime) -> Iterator[Fact]:
    # The zone is said once.
    yield "created", f"{full_time(job.created_at, now)} {local_zone(now).tzname(now)}"
    if job.started_at is None or job.scheduled_at > now:
        yield "due", full_time(job.scheduled_at, now)
    if job.started_at is not None:
        yield "started", full_time(job.started_at, now)
    if job.lease_until is not None:
        yield "lease ends", due_time(job.lease_until, now)
    if job.ended_at is not None:
        yield "ended", full_time(job.ended_at, now)
        if job.started_at is not None:
            yield "time", f"{(job.ended_at - job.started_at).total_seconds():.2f} s"
    if job.time_to_first_chunk is not None:
        yield "time to first chunk", f"{job.time_to_first_chunk:.2f} s"


def _answer(job: Job) -> Iterator[Fact]:
    for name, value in (("model", job.model), ("finish reason", job.finish_reason)):
        if value:
            yield name, one_line(value, LONGEST)
    if job.usage:
        counts = (f"{name.removesuffix('_tokens')} {count}" for name, count in job.usage.items())
        yield "tokens", ", ".join(counts)
    if job.cost is not None:
        yield "cost", f"${job.cost:.6f}"
    # A text that was returned is the output, which is printed whole.
    if job.result is not None and job.result != job.output:
        yield "result", one_line(_json(job.result), LONGEST)


def _name(worker_id: str, worker: Worker | None) -> str:
    shown = worker_id[:SHORT]
    return shown if worker is None else f"{shown} ({worker.host}, process {worker.pid})"


def _call(arguments: Mapping[str, Any]) -> str:
    named = (f"{name}={_json(value)}" for name, value in arguments.get("kwargs", {}).items())
    return ", ".join((*map(_json, arguments.get("args", ())), *named))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
