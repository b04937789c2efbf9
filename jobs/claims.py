"""What only the holder of an attempt may write. Every write names its epoch and is refused when it is stale."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select, update

from jobs.credentials import redacted
from jobs.policy import words
from jobs.rows import Job, find, get
from jobs.sqltypes import db_now, storable
from jobs.tables import jobs

#: Characters of a traceback that a row keeps: its end, where the error is.
TRACE_LENGTH = 4000
#: The metadata's key for why a waiting job is not run; it is gone once the job is claimed.
WAITS = "aquila.waits"
#: Characters of it.
WHY_LENGTH = 500


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to run one attempt of a job, as long as its lease is renewed."""

    job: Job
    worker_id: str

    @property
    def key(self) -> tuple[str, int]:
        """The job's id and the attempt's epoch, which no two claims share."""
        return (self.job.job_id, self.job.epoch)


@dataclass(frozen=True, slots=True, kw_only=True)
class Captured:
    """What an attempt's runs gave, as far as they came."""

    text: str = ""
    model: str | None = None
    finish_reason: str | None = None
    #: Tokens of all runs, added up.
    usage: Mapping[str, int] | None = None
    #: Seconds from the start of the attempt.
    time_to_first_chunk: float | None = None
    #: US dollars of its requests; None if none has a known price.
    cost: float | None = None

    def columns(self) -> dict[str, Any]:
        """Give what the row keeps of it, the text and the cost apart."""
        return {
            "model": self.model,
            "finish_reason": self.finish_reason,
            "usage": dict(self.usage) if self.usage else None,
            "time_to_first_chunk": self.time_to_first_chunk,
        }


#: What an attempt has captured that gave nothing.
NOTHING = Captured()


def claim(
    connection: Connection, job_id: str, epoch: int, worker_id: str, lease: float, *, again: bool = False
) -> Claim | None:
    """Take a job to run its attempt `epoch`; None if it is not there to be taken.

    Args:
        connection: A transaction that writes.
        job_id: The job.
        epoch: The epoch its message announced, so that an old message claims nothing.
        worker_id: Who takes it.
        lease: Seconds until the claim ends unless it is renewed.
        again: Whether it was asked for before and the answer was lost: then it may be this worker's already.
    """
    if again and (mine := _claimed_before(connection, job_id, epoch, worker_id)) is not None:
        return Claim(mine, worker_id)
    changed = connection.execute(
        update(jobs)
        .where(jobs.c.id == job_id, jobs.c.state == "available", jobs.c.epoch == epoch - 1)
        .values(
            state="executing",
            attempt=jobs.c.attempt + 1,
            epoch=epoch,
            worker_id=worker_id,
            lease_until=db_now(lease),
            started_at=db_now(),
            **NOTHING.columns(),
            output=None,
            result=None,
        )
    )
    if changed.rowcount != 1:
        return None
    job = get(connection, job_id)
    if WAITS in job.metadata:
        known = {name: value for name, value in job.metadata.items() if name != WAITS}
        connection.execute(update(jobs).where(jobs.c.id == job_id).values(metadata=known))
        job = replace(job, metadata=known)
    return Claim(job, worker_id)


def _claimed_before(connection: Connection, job_id: str, epoch: int, worker_id: str) -> Job | None:
    job = find(connection, job_id)
    mine = job is not None and (job.state, job.epoch, job.worker_id) == ("executing", epoch, worker_id)
    return job if mine else None


def complete(
    connection: Connection, held: Claim, *, output: str | None, result: Any, captured: Captured
) -> bool:
    """Store the result; False if the claim is stale and nothing was written."""
    kept = {"output": output, "result": result, **captured.columns(), **_added(captured)}
    done = _finish(connection, held, state="completed", **kept)
    # Refused too if it is stored, and the database's answer to that was lost.
    return done or _is_completed(connection, held)


def fail(
    connection: Connection,
    held: Claim,
    error: BaseException,
    *,
    trace: str | None = None,
    delay: float | None,
    reason: str | None = None,
    captured: Captured,
) -> bool:
    """Store a failed attempt; False if the claim is stale and nothing was written.

    Args:
        connection: A transaction that writes.
        held: The claim.
        error: What the actor raised.
        trace: Its traceback; its end is kept.
        delay: Seconds until the next attempt; None discards the job.
        reason: Why it is discarded, in words.
        captured: What had come.
    """
    entry = error_entry(held.job.attempt, type(error).__name__, redacted(words(error)))
    if trace:
        entry["traceback"] = storable(redacted(trace)[-TRACE_LENGTH:])
    errors = [*get(connection, held.job.job_id).errors, {**entry, "at": _now(connection)}]
    common = {
        "errors": errors,
        "output": captured.text or None,
        **captured.columns(),
        **_added(captured),
    }
    if delay is None:
        done = _finish(connection, held, state="discarded", reason=reason, **common)
    else:
        done = _leave(connection, held, state="retryable", scheduled_at=db_now(delay), **common)
    return done or _has_failed(connection, held, entry)


def release(connection: Connection, held: Claim, *, captured: Captured = NOTHING) -> bool:
    """Give the job back as if this attempt had not been, but for its cost; False if the claim is stale."""
    back = {"state": "available", "attempt": jobs.c.attempt - 1, **_added(captured)}
    return _leave(connection, held, **back) or _is_back(connection, held)


def wait(connection: Connection, held: Claim, *, delay: float, why: str, captured: Captured) -> bool:
    """Put a job off that has to wait for somebody else; it costs no attempt. False if the claim is stale.

    Args:
        connection: A transaction that writes.
        held: The claim.
        delay: Seconds until it is due again.
        why: Kept in the row until the job is claimed.
        captured: What had come.
    """
    known = {**get(connection, held.job.job_id).metadata, WAITS: why[:WHY_LENGTH]}
    later = {"state": "retryable", "scheduled_at": db_now(delay), "metadata": known, **_added(captured)}
    return _leave(connection, held, attempt=jobs.c.attempt - 1, **later) or _is_back(connection, held)


def keep_partial(connection: Connection, held: Claim, captured: Captured) -> bool:
    """Store what a cancelled attempt had given; False if the job has moved on since."""
    changed = connection.execute(
        update(jobs)
        .where(
            jobs.c.id == held.job.job_id, jobs.c.epoch == held.job.epoch, jobs.c.worker_id == held.worker_id
        )
        .where(jobs.c.state == "cancelled")
        .values(output=captured.text or None, **captured.columns(), **_added(captured))
    )
    return changed.rowcount == 1


def add_metadata(connection: Connection, held: Claim, values: Mapping[str, Any]) -> bool:
    """Merge `values` into the row's metadata; False if the claim is stale."""
    query = select(jobs.c.metadata).where(_mine(held)).with_for_update()
    known = connection.execute(query).scalar_one_or_none()
    if known is None:
        return False
    connection.execute(update(jobs).where(_mine(held)).values(metadata={**known, **values}))
    return True


def is_held(connection: Connection, held: Claim) -> bool:
    """Say whether the claim still stands."""
    job = find(connection, held.job.job_id)
    if job is None:
        return False
    return (job.state, job.epoch, job.worker_id) == ("executing", held.job.epoch, held.worker_id)


def postpone(connection: Connection, job_id: str, epoch: int, delay: float, why: str) -> bool:
    """Make a job that nobody here can run due again after `delay` seconds; it costs no attempt.

    Args:
        connection: A transaction that writes.
        job_id: The job.
        epoch: The epoch its message announced.
        delay: Seconds until it is offered again.
        why: Kept in the row until the job is claimed.
    """
    offered = (jobs.c.id == job_id) & (jobs.c.state == "available") & (jobs.c.epoch == epoch - 1)
    known = connection.execute(select(jobs.c.metadata).where(offered).with_for_update()).scalar_one_or_none()
    if known is None:
        return False
    later = {"state": "scheduled", "scheduled_at": db_now(delay), "published_at": None}
    connection.execute(update(jobs).where(offered).values(metadata={**known, WAITS: why}, **later))
    return True


def error_entry(attempt: int, error: str, message: str) -> dict[str, Any]:
    """Make an entry of a row's `errors`, without its time."""
    return {"attempt": attempt, "error": error, "message": storable(message[:2000])}


def _now(connection: Connection) -> str:
    return connection.execute(select(db_now())).scalar_one().isoformat()


def _added(captured: Captured) -> dict[str, Any]:
    # Earlier attempts were paid for as well.
    return {} if captured.cost is None else {"cost": func.coalesce(jobs.c.cost, 0.0) + captured.cost}


def _has_failed(connection: Connection, held: Claim, entry: Mapping[str, Any]) -> bool:
    # Refused too if it is stored, and the database's answer to that was lost.
    job = get(connection, held.job.job_id)
    last = job.errors[-1] if job.errors else {}
    same = all(last.get(name) == entry[name] for name in ("attempt", "error", "message"))
    return same and job.epoch == held.job.epoch and job.state in {"discarded", "retryable"}


def _is_back(connection: Connection, held: Claim) -> bool:
    # As above, of an attempt that counts for nothing.
    job = get(connection, held.job.job_id)
    attempts = held.job.attempt - 1
    return (job.epoch, job.attempt, job.worker_id) == (held.job.epoch, attempts, None) and not job.ended


def _mine(held: Claim) -> ColumnElement[bool]:
    return (
        (jobs.c.id == held.job.job_id)
        & (jobs.c.epoch == held.job.epoch)
        & (jobs.c.worker_id == held.worker_id)
        & (jobs.c.state == "executing")
    )


def _is_completed(connection: Connection, held: Claim) -> bool:
    job = find(connection, held.job.job_id)
    mine = ("completed", held.job.epoch, held.worker_id)
    return job is not None and (job.state, job.epoch, job.worker_id) == mine


def _finish(connection: Connection, held: Claim, **values: Any) -> bool:
    ended = update(jobs).where(_mine(held)).values(ended_at=db_now(), lease_until=None, **values)
    return connection.execute(ended).rowcount == 1


def _leave(connection: Connection, held: Claim, **values: Any) -> bool:
    left = (
        update(jobs).where(_mine(held)).values(lease_until=None, published_at=None, worker_id=None, **values)
    )
    return connection.execute(left).rowcount == 1
