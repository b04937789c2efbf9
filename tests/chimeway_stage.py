"""A database with notifications for tests of the engine: what other parts do to rows is done by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Concatenate, ParamSpec, TypeVar

from chimeway_runs import START
from sqlalchemy import Connection, insert, select, update

from chimeway import store
from chimeway.engine.progress import Progressed, progress_run
from chimeway.engine.starting import start_run
from chimeway.models import Delivery, DeliveryStatus, Notification, Signal, WorkflowRun
from chimeway.rows import as_record, get_run
from chimeway.tables import deliveries, events, metadata, notifications, signals, step_outputs, transitions
from chimeway.workflow import Workflow
from jobs.database import Database
from jobs.rows import Job, latest, new_id

P = ParamSpec("P")
T = TypeVar("T")

STATUS = {"delivered": DeliveryStatus.SUCCEEDED, "suppressed": DeliveryStatus.SUPPRESSED}


class Stage:
    """Runs functions of the engine, each in a transaction of its own."""

    def __init__(self, database: Database) -> None:
        self.database = database
        metadata.create_all(database.engine)

    def write(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work(connection, ...)`; jobs that it adds stay where they are."""
        token = store._ADDED.set([])
        try:
            return self.database.write(work, *args, **kwargs)
        finally:
            store._ADDED.reset(token)

    def start(self, workflow: Workflow, *, now: datetime = START, **facts: Any) -> WorkflowRun:
        """Begin a run of a new notification."""
        return self.write(started, workflow, now, **facts)

    def end(self, run: WorkflowRun, outcome: str, now: datetime) -> Progressed:
        """Let the delivery of the step at which a run stands come out, and move the run on."""
        return self.write(ended, run.run_id, outcome, now)

    def progress(self, run: WorkflowRun, now: datetime, **more: Any) -> Progressed:
        return self.write(progress_run, run.run_id, now, **more)

    def signal(self, event_name: str, payload: Mapping[str, Any], now: datetime, **facts: Any) -> Signal:
        """Store a signal, and leave it to be found."""
        return self.write(signalled, event_name, payload, now, **facts)

    def write_text(self, run: WorkflowRun, step_key: str, text: str, now: datetime) -> None:
        mine = (step_outputs.c.run_id == run.run_id, step_outputs.c.step_key == step_key)
        written = update(step_outputs).where(*mine).values(state="written", output=text, ended_at=now)
        self.write(lambda connection: connection.execute(written))

    def run(self, run: WorkflowRun) -> WorkflowRun:
        return self.database.read(get_run, run.run_id)

    def history(self, run: WorkflowRun) -> list[tuple[int, str, str, str]]:
        """Give number, state, step and reason of each move."""
        columns = (transitions.c.seq, transitions.c.to_state, transitions.c.step_key, transitions.c.reason)
        query = select(*columns).where(transitions.c.run_id == run.run_id).order_by(transitions.c.seq)
        return self.database.read(lambda connection: [tuple(row) for row in connection.execute(query)])  # type: ignore[misc]

    def reasons(self, run: WorkflowRun) -> list[str]:
        return [reason for _seq, _state, _step, reason in self.history(run)]

    def deliveries(self, run: WorkflowRun) -> list[Delivery]:
        query = select(deliveries).where(deliveries.c.run_id == run.run_id)
        ordered = query.order_by(deliveries.c.created_at, deliveries.c.step_key)
        return self.database.read(
            lambda connection: [as_record(Delivery, row) for row in connection.execute(ordered).mappings()]
        )

    def jobs(self, actor_name: str) -> list[Job]:
        found = self.database.read(latest, limit=1000)
        return [job for job in found if job.actor_name == actor_name]


def started(connection: Connection, workflow: Workflow, now: datetime, **facts: Any) -> WorkflowRun:
    """Add an event and a notification, and begin its run."""
    notification = notified(connection, now, **facts)
    return start_run(
        connection, notification=notification, workflow=workflow, payload=facts.get("params", {}), now=now
    )


def notified(
    connection: Connection,
    now: datetime,
    *,
    recipient: str = "ada",
    tenant: str = "default",
    params: Mapping[str, Any] | None = None,
    addresses: Mapping[str, str] | None = None,
) -> Notification:
    """Add an event and a notification of it."""
    event_id, notification_id = new_id(), new_id()
    common = {"tenant_id": tenant, "notification_key": "mention", "created_at": now}
    event = {"id": event_id, "notification_version": 1, "idempotency_key": event_id, "options": {}}
    connection.execute(insert(events).values(**event, payload=dict(params or {}), **common))
    about = {"event_id": event_id, "recipient_identity": recipient, "recipient_type": "user", "contents": {}}
    row = {"id": notification_id, **about, **common, "addresses": dict(addresses or {})}
    connection.execute(insert(notifications).values(**row))
    return as_record(Notification, row)


def ended(connection: Connection, run_id: str, outcome: str, now: datetime) -> Progressed:
    run = get_run(connection, run_id)
    over = outcome != "temporary_failure"
    status = STATUS.get(outcome, DeliveryStatus.CANCELLED if over else DeliveryStatus.FAILED)
    mine = (deliveries.c.run_id == run_id, deliveries.c.step_key == run.current_step_key)
    values = {"status": status.value, "outcome": outcome, "terminal_at": now if over else None}
    assert connection.execute(update(deliveries).where(*mine).values(**values)).rowcount == 1
    return progress_run(connection, run_id, now)


def signalled(
    connection: Connection,
    event_name: str,
    payload: Mapping[str, Any],
    now: datetime,
    *,
    actor: str = "ada",
    tenant: str = "default",
    dedup_key: str | None = None,
) -> Signal:
    row = {
        "id": new_id(),
        "tenant_id": tenant,
        "actor_id": actor,
        "event_name": event_name,
        "occurred_at": now,
        "dedup_key": dedup_key,
    }
    connection.execute(insert(signals).values(**row, payload=dict(payload)))
    return as_record(Signal, {**row, "payload": payload})
