"""Job rows as values, and what anyone may do with them: add, read, cancel, run again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast
from uuid import uuid4

from sqlalchemy import ColumnElement, Connection, case, delete, func, select, update

from jobs.errors import JobNotFound, JobsError
from jobs.new_job import NewJob
from jobs.sqltypes import db_now, insert_into, storable
from jobs.tables import ENDED, WAITING, State, jobs, steps
from jobs.unique import take_key

#: Columns by their names in `Job`; the others have the same name in both.
_RENAMED = {"id": "job_id"}
#: Ids in one `IN (...)`; every database takes that many.
_IN_ONE_READ = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as its row has it."""

    job_id: str
    actor_name: str
    queue_name: str
    #: `{"args": [...], "kwargs": {...}}`.
    arguments: Mapping[str, Any]
    #: What was given at `send`, with what `progress` added.
    metadata: Mapping[str, Any]
    #: Words to find and to count it by; shared budgets go by them.
    tags: Sequence[str]
    #: 0 to 3; the lower number goes first.
    priority: int
    cassette: str | None
    #: The mode it is used in; None leaves that to the worker's environment.
    cassette_mode: str | None
    #: The key that no other job of its actor has at the same time.
    unique_key: str | None
    #: Seconds that one attempt may take; None sets no limit.
    timeout: float | None
    #: What all attempts together may use: `tokens`, `cost` in US dollars.
    budget: Mapping[str, float] | None
    #: The sender's trace, as the W3C headers have it.
    trace: Mapping[str, str] | None
    state: State
    #: Attempts made, the running one included.
    attempt: int
    max_attempts: int
    #: Rises with every attempt that starts; writes that carry an older one are refused.
    epoch: int
    scheduled_at: datetime
    #: When the job was handed to the broker; None if it has yet to be.
    published_at: datetime | None
    #: The running attempt's worker must be heard of by then.
    lease_until: datetime | None
    worker_id: str | None
    #: The text: what the actor returned or streamed; the part that came, if it failed.
    output: str | None
    #: What the actor returned, as JSON.
    result: Any
    model: str | None
    finish_reason: str | None
    #: Tokens of all runs of the last attempt.
    usage: Mapping[str, int] | None
    #: US dollars of all attempts; None if no price is known.
    cost: float | None
    #: One entry for each failed attempt: `attempt`, `at`, `error`, `message`; `traceback` if it is no error of Aquila's.
    errors: list[dict[str, Any]]
    #: Why it was discarded or cancelled, in words; None before.
    reason: str | None
    #: Seconds from the start of the attempt to the first text.
    time_to_first_chunk: float | None
    created_at: datetime
    #: When the last attempt began.
    started_at: datetime | None
    ended_at: datetime | None

    @property
    def ended(self) -> bool:
        """Whether the job is over for good."""
        return self.state in ENDED

    def to_dict(self) -> dict[str, Any]:
        """Give every field as JSON-ready values; times are ISO 8601."""
        values = ((name, getattr(self, name)) for name in self.__dataclass_fields__)
        return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values}


def new_id() -> str:
    """Make a job's id."""
    return uuid4().hex


def add(connection: Connection, new: NewJob) -> Job:
    """Add a job, due now unless it says otherwise; give the one that has its unique key if another has it already.

    A job that is there already is left as it is: whoever got no answer may send its message once more.
    """
    if new.unique_key is not None:
        holder = take_key(connection, new.unique_key, new.job_id, new.unique_seconds)
        if holder != new.job_id and (known := find(connection, holder)) is not None:
            return known
    due = new.at if new.at is not None else db_now(new.delay)
    connection.execute(_insert_new(connection).values(**new.columns(), scheduled_at=due, created_at=db_now()))
    return get(connection, new.job_id)


def add_all(connection: Connection, many: Sequence[NewJob]) -> list[Job]:
    """Add jobs in one go; give each as `add` does, in the same order.

    Those that are due now and have no unique key, which is nearly always all of them, take one statement.
    """
    plain = [new for new in many if new.unique_key is None and new.at is None and not new.delay]
    if plain:
        now = connection.execute(select(db_now())).scalar_one()
        moments = {"scheduled_at": now, "created_at": now}
        connection.execute(_insert_new(connection), [{**new.columns(), **moments} for new in plain])
    wanted = [new.job_id for new in plain]
    rest = set(wanted)
    # In the order of their keys, so that two transactions never wait for each other's.
    others = sorted((new for new in many if new.job_id not in rest), key=lambda new: new.unique_key or "")
    added = {new.job_id: add(connection, new) for new in others}
    for start in range(0, len(wanted), _IN_ONE_READ):
        query = select(jobs).where(jobs.c.id.in_(wanted[start : start + _IN_ONE_READ]))
        added |= {str(row["id"]): as_job(row) for row in connection.execute(query).mappings()}
    return [added[new.job_id] for new in many]


def _insert_new(connection: Connection) -> Any:
    return insert_into(connection, jobs).on_conflict_do_nothing(index_elements=[jobs.c.id])


def find(connection: Connection, job_id: str) -> Job | None:
    """Read a job; None if there is none."""
    row = connection.execute(select(jobs).where(jobs.c.id == storable(job_id))).mappings().first()
    return None if row is None else as_job(row)


def get(connection: Connection, job_id: str) -> Job:
    """Read a job.

    Raises:
        JobNotFound: There is none.
    """
    job = find(connection, job_id)
    if job is None:
        raise JobNotFound(f"no job {job_id!r} in this database; see `aquila jobs ls`")
    return job


def resolve_prefix(connection: Connection, prefix: str) -> str:
    """Give the one id that begins with `prefix`.

    Raises:
        JobNotFound: There is none, or more than one.
    """
    if not prefix.strip():
        raise JobNotFound("the id is empty; give a job's id, or a part of it that begins no other")
    query = (
        select(jobs.c.id)
        .where(jobs.c.id.startswith(storable(prefix).strip().lower(), autoescape=True))
        .limit(2)
    )
    found = list(connection.scalars(query))
    if len(found) == 1:
        return str(found[0])
    if found:
        raise JobNotFound(f"more than one job begins with {prefix!r}; give more of the id")
    raise JobNotFound(f"no job begins with {prefix!r} in this database; see `aquila jobs ls`")


def latest(connection: Connection, *where: ColumnElement[bool], limit: int = 20) -> list[Job]:
    """Read the jobs that were added last, of those that meet the conditions; the newest first."""
    query = select(jobs).where(*where).order_by(jobs.c.created_at.desc(), jobs.c.id).limit(limit)
    return [as_job(row) for row in connection.execute(query).mappings()]


def cancel(connection: Connection, job_id: str, reason: str | None = None) -> tuple[Job, bool]:
    """Cancel a job that has not ended; give the job as it was before, and whether this call cancelled it.

    Args:
        connection: A transaction that writes.
        job_id: The job.
        reason: Why, in words; kept in the row.

    Raises:
        JobNotFound: There is none.
    """
    before = get(connection, job_id)
    while not before.ended:
        changed = connection.execute(
            update(jobs)
            .where(jobs.c.id == job_id, jobs.c.state == before.state, jobs.c.epoch == before.epoch)
            .values(state="cancelled", ended_at=db_now(), lease_until=None, reason=reason)
        )
        if changed.rowcount == 1:
            return before, True
        # A worker moved it in between; each such move is one of few.
        before = get(connection, job_id)
    return before, False


def run_again(connection: Connection, job_id: str) -> tuple[Job, bool]:
    """Make a job due now that has ended or waits; give it as it is then, and whether this call changed it.

    A job that has used up its attempts gets one more.

    Raises:
        JobNotFound: There is none.
        JobsError: Another job has its unique key by now.
    """
    job = get(connection, job_id)
    if job.unique_key is not None and (holder := take_key(connection, job.unique_key, job_id, 0.0)) != job_id:
        raise JobsError(f"job {job_id} cannot run again: job {holder} has its unique key {job.unique_key!r}")
    # Read anew, and kept from others: somebody else may be sending it to run again at this moment.
    job = as_job(
        connection.execute(select(jobs).where(jobs.c.id == job_id).with_for_update()).mappings().one()
    )
    if job.state == "completed":
        # What failed goes on where it was; what is done is done anew.
        connection.execute(delete(steps).where(steps.c.job_id == job_id))
    spent = jobs.c.attempt >= jobs.c.max_attempts
    changed = connection.execute(
        update(jobs)
        .where(jobs.c.id == job_id, jobs.c.state.in_([*ENDED, *(s for s in WAITING if s != "available")]))
        .values(
            state="available",
            scheduled_at=db_now(),
            published_at=None,
            ended_at=None,
            reason=None,
            max_attempts=case((spent, jobs.c.attempt + 1), else_=jobs.c.max_attempts),
        )
    )
    return get(connection, job_id), changed.rowcount == 1


def count_by_state(connection: Connection) -> dict[str, int]:
    """Count the jobs in each state that has any."""
    rows = connection.execute(select(jobs.c.state, func.count()).group_by(jobs.c.state))
    return {str(state): int(count) for state, count in rows}


def as_job(row: Mapping[Any, Any]) -> Job:
    """Turn a row into a value."""
    return Job(
        **{
            _RENAMED.get(str(name), str(name)): value
            for name, value in cast("Mapping[str, Any]", row).items()
        }
    )
