"""Triggering: an event, its notifications and their deliveries, all in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from chimeway.dispatch.here import Work, adeliver_here, deliver_after, deliver_here
from chimeway.engine.definitions import store_definition
from chimeway.fanout import AT_ONCE, store_chunks
from chimeway.models import Delivery, Event, Notification, WorkflowRun
from chimeway.notifying import Notified, add_notifications
from chimeway.planning import PlanOptions, delivering_here
from chimeway.recipient import Recipient
from chimeway.redriving import redrive
from chimeway.rendering import Rendered
from chimeway.rows import as_record, deliveries_of_event, notifications_of_event, runs_of_event
from chimeway.settings import settings
from chimeway.store import aread, atransact, read, transact
from chimeway.tables import events
from chimeway.workflow import Workflow
from jobs.host_connection import AsyncHostSession, HostSession, asynchronous
from jobs.sqltypes import insert_into

OnDuplicate = Literal["return", "redrive"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Triggered:
    """What a trigger has added, or found."""

    event: Event
    #: One for each recipient. Empty while an event of more than a hundred is planned by jobs.
    notifications: Sequence[Notification]
    #: What was planned. Without a session the synchronous dispatcher has sent it by now, and this is how that came out.
    deliveries: Sequence[Delivery]
    #: The runs of the workflow, if there is one.
    runs: Sequence[WorkflowRun] = ()
    #: Recipients in all; for a duplicate those of the notifications that are there.
    recipient_count: int
    #: Whether an earlier trigger had the idempotency key; then nothing was added, and the rest is that trigger's.
    duplicate: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be triggered."""

    event: Event
    recipients: Sequence[Recipient]
    #: For up to a hundred recipients; others are rendered where they are planned.
    rendered: Sequence[Rendered] = ()
    channels: Sequence[str]
    options: PlanOptions
    workflow: Workflow | None
    on_duplicate: OnDuplicate = "return"

    @property
    def is_large(self) -> bool:
        """Whether jobs plan it."""
        return len(self.recipients) > AT_ONCE


@dataclass(frozen=True, slots=True)
class _Done:
    triggered: Triggered
    #: What this process is to do once it is committed.
    here: Sequence[Work] = field(default=())


def trigger(order: Order, session: HostSession | None) -> Triggered:
    """Add an event and what follows from it, in the caller's transaction or in one of our own.

    Raises:
        ConfigError: The session is none in whose transaction this can be done, or the dispatcher is unknown.
        WorkflowConflict: The workflow's version is stored with other steps.
        StorageError: The database failed, and nothing was added.
        SQLAlchemyError: A statement failed in the caller's transaction.
    """
    chosen = settings()
    is_sync = chosen.dispatcher == "sync"
    done = transact(session, _run, order, chosen.clock.now(), here=is_sync, session=session)
    if session is not None or not done.here:
        return done.triggered
    deliver_here(done.here)
    return read(_fresh, done.triggered)


async def atrigger(order: Order, session: AsyncHostSession | None) -> Triggered:
    """Do as `trigger` does.

    Raises:
        ConfigError: The session is none in whose transaction this can be done, or the dispatcher is unknown.
        WorkflowConflict: The workflow's version is stored with other steps.
        StorageError: The database failed, and nothing was added.
        SQLAlchemyError: A statement failed in the caller's transaction.
    """
    chosen = settings()
    is_sync = chosen.dispatcher == "sync"
    below = None if session is None else _below(session)
    done = await atransact(
        session, _run, order, chosen.clock.now(), here=is_sync, session=below, is_async=True
    )
    if session is not None or not done.here:
        return done.triggered
    await adeliver_here(done.here)
    return await aread(_fresh, done.triggered)


def _below(session: AsyncHostSession) -> Session | Connection | None:
    """Give what an asynchronous session or connection stands on, whose end is to be noticed."""
    given = asynchronous(session)
    return given.sync_session if isinstance(given, AsyncSession) else given.sync_connection


def _run(
    connection: Connection, order: Order, now: datetime, *, here: bool, session: Any, is_async: bool = False
) -> _Done:
    if not here:
        return _Done(_add(connection, order, now, here=False)[0])
    with delivering_here() as planned:
        triggered, work = _add(connection, order, now, here=True)
    work = [*planned, *work]
    host = session() if hasattr(session, "registry") else session
    if work and host is not None:
        deliver_after(host if isinstance(host, Session) else connection, connection, work, is_async=is_async)
    return _Done(triggered, work)


def _add(connection: Connection, order: Order, now: datetime, *, here: bool) -> tuple[Triggered, list[Work]]:
    if order.workflow is not None:
        # Before anything is added: a host may go on with its transaction after a conflict.
        store_definition(connection, order.workflow, now)
    event = replace(order.event, created_at=now)
    row = {"id": event.event_id, **{name: getattr(event, name) for name in _COLUMNS}}
    # A savepoint is not needed: a key that is taken is no error here, and the caller's transaction stays as it is.
    connection.execute(insert_into(connection, events).on_conflict_do_nothing().values(**row))
    key = (events.c.tenant_id == event.tenant_id) & (events.c.idempotency_key == event.idempotency_key)
    found = as_record(Event, connection.execute(select(events).where(key)).mappings().one())
    if found.event_id != event.event_id:
        return _duplicate(connection, found, order, now, here=here)
    if order.is_large:
        chunks = store_chunks(connection, event, order.recipients, here=here)
        count = len(order.recipients)
        return Triggered(event=event, notifications=(), deliveries=(), recipient_count=count), (
            list(chunks) if here else []
        )
    said = Notified(
        event=event,
        rendered=order.rendered,
        channels=order.channels,
        options=order.options,
        workflow=order.workflow,
    )
    told = add_notifications(connection, said, now)
    return Triggered(
        event=event,
        notifications=told.notifications,
        deliveries=told.deliveries,
        runs=told.runs,
        recipient_count=len(order.recipients),
    ), []


_COLUMNS = (
    "tenant_id",
    "notification_key",
    "notification_version",
    "idempotency_key",
    "correlation_id",
    "cancellation_key",
    "category",
    "payload",
    "options",
    "created_at",
)


def _duplicate(
    connection: Connection, found: Event, order: Order, now: datetime, *, here: bool
) -> tuple[Triggered, list[Work]]:
    work = redrive(connection, found.event_id, now, here=here) if order.on_duplicate == "redrive" else []
    known = notifications_of_event(connection, found.event_id)
    planned = deliveries_of_event(connection, found.event_id)
    return Triggered(
        event=found,
        notifications=known,
        deliveries=planned,
        runs=runs_of_event(connection, found.event_id),
        recipient_count=len(known),
        duplicate=True,
    ), work


def _fresh(connection: Connection, triggered: Triggered) -> Triggered:
    """Give it with its deliveries as they are now."""
    if not triggered.notifications:
        return triggered
    event_id = triggered.event.event_id
    return replace(
        triggered,
        deliveries=deliveries_of_event(connection, event_id),
        runs=runs_of_event(connection, event_id) if triggered.runs else (),
    )
