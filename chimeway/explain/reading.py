"""Reads what explanations need to know, for many rows with few statements."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Table, select

from chimeway.engine.definitions import load_definition
from chimeway.errors import NotificationNotFound, NotifierInvalid
from chimeway.explain.situation import (
    Bucket,
    Carrier,
    DeliverySituation,
    Feedback,
    RunSituation,
    StepOutput,
    Surroundings,
    Transition,
)
from chimeway.models import Attempt, Delivery, Event, Notification, Record, Signal, WorkflowRun
from chimeway.rows import as_record, in_parts
from chimeway.tables import (
    attempts,
    deliveries,
    digest_buckets,
    events,
    feedback,
    notifications,
    runs,
    signals,
    step_outputs,
    transitions,
)
from chimeway.workflow import Workflow
from jobs import census
from jobs.queues import paused_since
from jobs.rows import as_job
from jobs.sqltypes import db_now
from jobs.tables import jobs

R = TypeVar("R", bound=Record)
T = TypeVar("T")


def read_surroundings(connection: Connection, now: datetime) -> Surroundings:
    """Read who is there to do the work.

    Args:
        connection: A transaction.
        now: The time, by chimeway's clock.
    """
    return Surroundings(
        now=now,
        jobs_now=connection.execute(select(db_now())).scalar_one(),
        workers=census.alive(connection),
        paused=paused_since(connection),
    )


def read_situations(connection: Connection, many: Sequence[Delivery]) -> list[DeliverySituation]:
    """Read what is known of deliveries; give it in their order."""
    ids = [one.delivery_id for one in many]
    about = _by_id(connection, Event, events, [one.event_id for one in many])
    told = _by_id(connection, Notification, notifications, [one.notification_id for one in many])
    run_ids = [one.run_id for one in many if one.run_id is not None]
    theirs = _by_id(connection, WorkflowRun, runs, run_ids)
    moves = read_transitions(connection, run_ids)
    carriers = _carriers(connection, [one.carrier_id for one in many])
    tried = _grouped(
        as_record(Attempt, row) for row in _rows(connection, attempts, attempts.c.delivery_id, ids)
    )
    said = _feedback(connection, ids)
    buckets = _buckets(connection, [one.digest_bucket_id for one in many])
    return [
        DeliverySituation(
            delivery=one,
            event=about[one.event_id],
            notification=told[one.notification_id],
            attempts=sorted(tried[one.delivery_id], key=_attempt_order),
            feedback=said[one.delivery_id],
            carrier=carriers.get(one.carrier_id or ""),
            bucket=buckets.get(one.digest_bucket_id or ""),
            run=theirs.get(one.run_id or ""),
            transitions=moves[one.run_id or ""],
        )
        for one in many
        # Its event may be pruned at this moment.
        if one.event_id in about and one.notification_id in told
    ]


def read_runs(connection: Connection, many: Sequence[WorkflowRun]) -> list[RunSituation]:
    """Read what is known of runs; give it in their order."""
    ids = [one.run_id for one in many]
    about = _by_id(connection, Event, events, [one.event_id for one in many])
    told = _by_id(connection, Notification, notifications, [one.notification_id for one in many])
    moves = read_transitions(connection, ids)
    planned = [as_record(Delivery, row) for row in _rows(connection, deliveries, deliveries.c.run_id, ids)]
    by_run: defaultdict[str | None, list[DeliverySituation]] = defaultdict(list)
    for one in read_situations(
        connection, sorted(planned, key=lambda one: (one.created_at, one.delivery_id))
    ):
        by_run[one.delivery.run_id].append(one)
    outputs = _outputs(connection, ids)
    carriers = _carriers(connection, [one.carrier_id for one in many])
    heard = [move.signal_id for run_id in ids for move in moves[run_id] if move.signal_id is not None]
    known = _by_id(connection, Signal, signals, heard)
    return [
        RunSituation(
            run=run,
            event=about[run.event_id],
            notification=told[run.notification_id],
            definition=_definition(connection, run),
            transitions=moves[run.run_id],
            deliveries=by_run[run.run_id],
            outputs=outputs[run.run_id],
            signals=[known[move.signal_id] for move in moves[run.run_id] if move.signal_id in known],
            carrier=carriers.get(run.carrier_id or ""),
        )
        for run in many
        if run.event_id in about and run.notification_id in told
    ]


def read_transitions(connection: Connection, run_ids: Iterable[str]) -> defaultdict[str, list[Transition]]:
    """Read the histories of runs, by run."""
    found: defaultdict[str, list[Transition]] = defaultdict(list)
    for row in _rows(connection, transitions, transitions.c.run_id, run_ids):
        found[row["run_id"]].append(Transition(**dict(row)))
    for history in found.values():
        history.sort(key=lambda one: one.seq)
    return found


def read_carriers(connection: Connection, ids: Iterable[str | None]) -> dict[str, Carrier]:
    """Read jobs that are still there, by their ids."""
    return _carriers(connection, ids)


def _definition(connection: Connection, run: WorkflowRun) -> Workflow | None:
    try:
        return load_definition(connection, run.definition_id)
    except (NotifierInvalid, NotificationNotFound):
        # Stored by a newer version.
        return None


def _outputs(connection: Connection, run_ids: Sequence[str]) -> defaultdict[str, list[StepOutput]]:
    rows = list(_rows(connection, step_outputs, step_outputs.c.run_id, run_ids))
    carriers = _carriers(connection, [row["carrier_id"] for row in rows])
    found: defaultdict[str, list[StepOutput]] = defaultdict(list)
    for row in rows:
        names = ("run_id", "step_key", "state", "created_at", "ended_at")
        facts = {name: row[name] for name in names}
        found[row["run_id"]].append(StepOutput(**facts, carrier=carriers.get(row["carrier_id"] or "")))
    return found


def _feedback(connection: Connection, ids: Iterable[str]) -> defaultdict[str, list[Feedback]]:
    found: defaultdict[str, list[Feedback]] = defaultdict(list)
    for row in _rows(connection, feedback, feedback.c.delivery_id, ids):
        names = ("adapter", "kind", "state", "reason", "received_at", "processed_at")
        found[row["delivery_id"]].append(
            Feedback(feedback_id=row["id"], **{name: row[name] for name in names})
        )
    return found


def _buckets(connection: Connection, ids: Iterable[str | None]) -> dict[str, Bucket]:
    wanted = [one for one in ids if one is not None]
    names = ("due_at", "flushed_at", "delivery_id")
    return {
        row["id"]: Bucket(bucket_id=row["id"], **{name: row[name] for name in names})
        for row in _rows(connection, digest_buckets, digest_buckets.c.id, wanted)
    }


def _carriers(connection: Connection, ids: Iterable[str | None]) -> dict[str, Carrier]:
    wanted = [one for one in ids if one is not None]
    return {row["id"]: Carrier(as_job(row)) for row in _rows(connection, jobs, jobs.c.id, wanted)}


def _by_id(connection: Connection, kind: type[R], table: Table, ids: Iterable[str]) -> dict[str, R]:
    return {row["id"]: as_record(kind, row) for row in _rows(connection, table, table.c.id, ids)}


def _rows(
    connection: Connection, table: Table, column: ColumnElement[Any], ids: Iterable[str]
) -> Iterator[Mapping[Any, Any]]:
    for part in in_parts(dict.fromkeys(ids)):
        yield from connection.execute(select(table).where(column.in_(part))).mappings()


def _grouped(many: Iterable[Attempt]) -> defaultdict[str, list[Attempt]]:
    found: defaultdict[str, list[Attempt]] = defaultdict(list)
    for one in many:
        found[one.delivery_id].append(one)
    return found


def _attempt_order(one: Attempt) -> tuple[Any, ...]:
    return one.created_at, one.attempt_number, one.source, one.sequence
