"""What the database holds at the end, as plain tuples and counts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, or_, select

from chimeway.carriers import PREFIX
from chimeway.tables import attempts, deliveries, events, fanouts, notifications, runs, signals, transitions
from jobs.tables import ENDED
from jobs.tables import jobs as job_rows

_TERMINAL = ("succeeded", "suppressed", "cancelled", "digested")
_OPEN_RUNS = ("active", "waiting")


class DeliveryRow(NamedTuple):
    """One delivery."""

    id: str
    notification_id: str
    event_id: str
    step_key: str
    status: str
    outcome: str | None
    reason: str | None
    attempt_count: int


class AttemptRow(NamedTuple):
    """One attempt."""

    delivery_id: str
    attempt_number: int
    source: str
    outcome: str
    error_class: str | None
    started_at: datetime


class RunRow(NamedTuple):
    """One run."""

    id: str
    notification_id: str
    event_id: str
    state: str
    reason: str | None
    wait_epoch: int
    revision: int


class TransitionRow(NamedTuple):
    """One row of a run's history."""

    seq: int
    from_state: str | None
    to_state: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """Everything that is looked at."""

    events: frozenset[str]
    #: Notifications: whose event it is, by id.
    notifications: Mapping[str, str]
    deliveries: Mapping[str, DeliveryRow]
    attempts: Mapping[str, list[AttemptRow]]
    runs: Mapping[str, RunRow]
    #: By run, in order.
    history: Mapping[str, list[TransitionRow]]
    #: Parts of events of many that nobody has planned.
    unplanned: int
    unrouted: int
    #: Our jobs that are neither ended nor scheduled for later.
    open_jobs: int
    #: Arguments and metadata of all our jobs that there are.
    job_texts: list[Any]


def read_stored(connection: Connection) -> Stored:
    """Read everything."""
    found_attempts: defaultdict[str, list[AttemptRow]] = defaultdict(list)
    columns = [attempts.c[name] for name in AttemptRow._fields]
    order = (attempts.c.created_at, attempts.c.attempt_number)
    for row in connection.execute(select(*columns).order_by(*order)):
        found_attempts[row.delivery_id].append(AttemptRow(*row))
    history: defaultdict[str, list[TransitionRow]] = defaultdict(list)
    columns = [transitions.c[name] for name in TransitionRow._fields]
    query = select(transitions.c.run_id, *columns).order_by(transitions.c.run_id, transitions.c.seq)
    for run_id, *rest in connection.execute(query):
        history[run_id].append(TransitionRow(*rest))
    told = select(notifications.c.id, notifications.c.event_id)
    return Stored(
        events=frozenset(connection.scalars(select(events.c.id))),
        notifications={str(row[0]): str(row[1]) for row in connection.execute(told)},
        deliveries={row[0]: row for row in _all(connection, deliveries, DeliveryRow)},
        attempts=found_attempts,
        runs={row[0]: row for row in _all(connection, runs, RunRow)},
        history=history,
        unplanned=_count(connection, select(fanouts.c.chunk).where(fanouts.c.planned_at.is_(None))),
        unrouted=_count(connection, select(signals.c.id).where(signals.c.processed_at.is_(None))),
        open_jobs=_count(connection, _open_jobs()),
        job_texts=[
            tuple(row) for row in connection.execute(_of_ours(job_rows.c.arguments, job_rows.c.metadata))
        ],
    )


def count_open(connection: Connection) -> Counter[str]:
    """Count what is still to be done."""
    return Counter(
        {
            "deliveries": _count(
                connection, select(deliveries.c.id).where(deliveries.c.status.not_in(_TERMINAL))
            ),
            "runs": _count(connection, select(runs.c.id).where(runs.c.state.in_(_OPEN_RUNS))),
            "signals": _count(connection, select(signals.c.id).where(signals.c.processed_at.is_(None))),
            "parts": _count(connection, select(fanouts.c.chunk).where(fanouts.c.planned_at.is_(None))),
        }
    )


def count_done(connection: Connection) -> Counter[str]:
    """Count deliveries by status."""
    query = select(deliveries.c.status, func.count()).group_by(deliveries.c.status)
    return Counter({str(status): int(number) for status, number in connection.execute(query)})


def _open_jobs() -> Any:
    return _of_ours(job_rows.c.id).where(
        job_rows.c.state.not_in((*ENDED, "scheduled")), job_rows.c.actor_name != f"{PREFIX}sweep"
    )


def _of_ours(*columns: Any) -> Any:
    return select(*columns).where(or_(job_rows.c.actor_name.startswith(PREFIX, autoescape=True)))


def _all(connection: Connection, table: Any, kind: Any) -> list[Any]:
    return [kind(*row) for row in connection.execute(select(*(table.c[name] for name in kind._fields)))]


def _count(connection: Connection, query: Any) -> int:
    return int(connection.execute(select(func.count()).select_from(query.subquery())).scalar_one())
