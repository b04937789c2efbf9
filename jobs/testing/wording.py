"""What a test is told when its jobs are not as expected. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from jobs.registry import ActorSpec
from jobs.rows import Job
from jobs.testing.matching import Wanted, call_of, nearest

#: Jobs that a message lists.
LISTED = 10
#: Characters of one value.
LONGEST = 200


def nothing_like(wanted: Wanted, found: Sequence[Job], known: Mapping[str, ActorSpec]) -> str:
    """Say that no job is as wanted, what there is instead, and which comes nearest.

    Args:
        wanted: What was asked for.
        found: The jobs of the sandbox, those that have run included.
        known: The actors.
    """
    waiting = [job for job in found if not _has_run(job)]
    lines = ["no job is enqueued like this:", f"  {_said(wanted)}"]
    lines += ["enqueued instead:", *_listed(waiting, known)] if waiting else ["no job is enqueued at all"]
    gone = [job for job in found if _has_run(job) and wanted.actor_name in {None, job.actor_name}]
    if gone:
        lines += ["run already:", *_listed(gone, known)]
    near = nearest(wanted, waiting)
    if near is not None:
        job, differing = near
        lines.append(f"the nearest, {job.job_id[:8]}, differs in")
        lines += [f"  {one.what}: {_value(one.found)}, not {_value(one.wanted)}" for one in differing]
    return "\n".join(lines)


def there_is(wanted: Wanted, found: Sequence[Job], known: Mapping[str, ActorSpec]) -> str:
    """Say that there are jobs that there should not be."""
    return "\n".join(["enqueued, and should not be:", f"  {_said(wanted)}", "found:", *_listed(found, known)])


def _has_run(job: Job) -> bool:
    return job.ended or job.state == "executing"


def _listed(found: Sequence[Job], known: Mapping[str, ActorSpec]) -> Iterator[str]:
    for job in found[:LISTED]:
        yield f"  {job.job_id[:8]} {_described(job, known)}"
    if len(found) > LISTED:
        yield f"  and {len(found) - LISTED} more"


def _described(job: Job, known: Mapping[str, ActorSpec]) -> str:
    spec = known.get(job.actor_name)
    call = None if spec is None else call_of(spec.fn, job.arguments)
    if call is None:
        plain = [_value(value) for value in job.arguments["args"]]
        call_text = ", ".join([*plain, *_pairs(job.arguments["kwargs"])])
    else:
        call_text = ", ".join(_pairs(call))
    parts = [f"{job.actor_name}({call_text})", f"in queue {job.queue_name!r}", f"priority {job.priority}"]
    if job.state in {"scheduled", "retryable"}:
        parts.append(f"{job.state} at {_value(job.scheduled_at)}")
    elif job.state != "available":
        parts.append(job.state)
    if job.tags:
        parts.append(f"tags {_value(list(job.tags))}")
    if job.unique_key is not None:
        parts.append(f"unique {job.unique_key.removeprefix(f'{job.actor_name}:')!r}")
    return ", ".join(parts)


def _said(wanted: Wanted) -> str:
    call = f"{wanted.actor_name or 'any actor'}({', '.join(_pairs(wanted.arguments))}{', ' * bool(wanted.arguments)}...)"
    parts = [call]
    if wanted.queue_name is not None:
        parts.append(f"in queue {wanted.queue_name!r}")
    if wanted.priority is not None:
        parts.append(f"priority {wanted.priority}")
    if wanted.scheduled_at is not None:
        parts.append(f"scheduled at {_value(wanted.scheduled_at)} within {wanted.tolerance:g} s")
    if wanted.tags:
        parts.append(f"tags {_value(list(wanted.tags))}")
    if wanted.unique is not None:
        parts.append(f"unique {wanted.unique!r}")
    if wanted.metadata:
        parts.append(f"metadata {_value(dict(wanted.metadata))}")
    return ", ".join(parts)


def _pairs(values: Mapping[str, Any]) -> list[str]:
    return [f"{name}={_value(value)}" for name, value in values.items()]


def _value(value: Any) -> str:
    text = value.isoformat() if isinstance(value, datetime) else repr(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
