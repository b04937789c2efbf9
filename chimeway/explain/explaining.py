"""`explain_delivery`, `explain_run`, `explain_notification`: where something stands and why, read from its rows."""

from __future__ import annotations

from datetime import datetime
from typing import TypeVar

from sqlalchemy import Connection, select

from chimeway.errors import NotificationNotFound
from chimeway.explain.composing import explain_known_delivery, explain_known_run
from chimeway.explain.explanation import Explanation
from chimeway.explain.reading import read_runs, read_situations, read_surroundings
from chimeway.models import Delivery, Notification, WorkflowRun
from chimeway.rows import as_record, find_delivery, find_notification, find_run
from chimeway.settings import settings
from chimeway.store import aread, atransact, read, transact
from chimeway.tables import deliveries, runs
from jobs.host_connection import AsyncHostSession, HostSession

T = TypeVar("T", Delivery, Notification, WorkflowRun)


def explain_delivery(
    delivery_id: str, tenant_id: str | None = None, *, session: HostSession | None = None
) -> Explanation:
    """Say where a delivery stands and why, and what happened to it.

    Args:
        delivery_id: The delivery.
        tenant_id: Whose it must be; None asks nothing.
        session: A session or connection of SQLAlchemy's, in whose transaction it is read; None uses one of our own.

    Raises:
        NotificationNotFound: There is none, or another tenant's.
        ConfigError: The session is none in whose transaction this can be done.
        StorageError: The database failed.
        SQLAlchemyError: A statement failed in the caller's transaction.
    """
    asked = (delivery_id, tenant_id, settings().clock.now())
    return read(_delivery, *asked) if session is None else transact(session, _delivery, *asked)


async def aexplain_delivery(
    delivery_id: str, tenant_id: str | None = None, *, session: AsyncHostSession | None = None
) -> Explanation:
    """Do as `explain_delivery` does, with an asynchronous session and without blocking the loop.

    Args:
        delivery_id: The delivery.
        tenant_id: Whose it must be; None asks nothing.
        session: An asynchronous session or connection of SQLAlchemy's; None uses a transaction of our own.

    Raises:
        NotificationNotFound: There is none, or another tenant's.
        ConfigError: The session is none in whose transaction this can be done.
        StorageError: The database failed.
        SQLAlchemyError: A statement failed in the caller's transaction.
    """
    asked = (delivery_id, tenant_id, settings().clock.now())
    return await (aread(_delivery, *asked) if session is None else atransact(session, _delivery, *asked))


def explain_run(
    run_id: str, tenant_id: str | None = None, *, session: HostSession | None = None
) -> Explanation:
    """Say where a workflow run stands and why, what each of its steps came to, and what happened.

    Args:
        run_id: The run.
        tenant_id: Whose it must be; None asks nothing.
        session: A session or connection of SQLAlchemy's, in whose transaction it is read; None uses one of our own.

    Raises:
        NotificationNotFound: There is none, or another tenant's.
        ConfigError: The session is none in whose transaction this can be done.
        StorageError: The database failed.
        SQLAlchemyError: A statement failed in the caller's transaction.
    """
    asked = (run_id, tenant_id, settings().clock.now())
    return read(_run, *asked) if session is None else transact(session, _run, *asked)


async def aexplain_run(
    run_id: str, tenant_id: str | None = None, *, session: AsyncHostSession | None = None
) -> Explanation:
    """Do as `explain_run` does, with an asynchronous session and without blocking the loop.

    Args:
        run_id: The run.
        tenant_id: Whose it must be; None asks nothing.
        session: An asynchronous session or connection of SQLAlchemy's; None uses a transaction of our own.

    Raises:
        NotificationNotFound: There is none, or another tenant's.
        ConfigError: The session is none in whose transaction this can be done.
        StorageError: The database failed.
        SQLAlchemyError: A statement failed in the caller's transaction.
    """
    asked = (run_id, tenant_id, settings().clock.now())
    return await (aread(_run, *asked) if session is None else atransact(session, _run, *asked))


def explain_notification(
    notification_id: str, tenant_id: str | None = None, *, session: HostSession | None = None
) -> list[Explanation]:
    """Say where all of a recipient's share of an event stands: its workflow run, if it has one, then its deliveries.

    Args:
        notification_id: The notification.
        tenant_id: Whose it must be; None asks nothing.
        session: A session or connection of SQLAlchemy's, in whose transaction it is read; None uses one of our own.

    Raises:
        NotificationNotFound: There is none, or another tenant's.
        ConfigError: The session is none in whose transaction this can be done.
        StorageError: The database failed.
        SQLAlchemyError: A statement failed in the caller's transaction.
    """
    asked = (notification_id, tenant_id, settings().clock.now())
    return read(_notification, *asked) if session is None else transact(session, _notification, *asked)


async def aexplain_notification(
    notification_id: str, tenant_id: str | None = None, *, session: AsyncHostSession | None = None
) -> list[Explanation]:
    """Do as `explain_notification` does, with an asynchronous session and without blocking the loop.

    Args:
        notification_id: The notification.
        tenant_id: Whose it must be; None asks nothing.
        session: An asynchronous session or connection of SQLAlchemy's; None uses a transaction of our own.

    Raises:
        NotificationNotFound: There is none, or another tenant's.
        ConfigError: The session is none in whose transaction this can be done.
        StorageError: The database failed.
        SQLAlchemyError: A statement failed in the caller's transaction.
    """
    asked = (notification_id, tenant_id, settings().clock.now())
    return await (
        aread(_notification, *asked) if session is None else atransact(session, _notification, *asked)
    )


def _delivery(connection: Connection, delivery_id: str, tenant_id: str | None, now: datetime) -> Explanation:
    found = _of(find_delivery(connection, delivery_id), tenant_id)
    known = [] if found is None else read_situations(connection, [found])
    if not known:
        raise missing("delivery", delivery_id, tenant_id)
    return explain_known_delivery(known[0], read_surroundings(connection, now))


def _run(connection: Connection, run_id: str, tenant_id: str | None, now: datetime) -> Explanation:
    found = _of(find_run(connection, run_id), tenant_id)
    known = [] if found is None else read_runs(connection, [found])
    if not known:
        raise missing("workflow run", run_id, tenant_id)
    return explain_known_run(known[0], read_surroundings(connection, now))


def _notification(
    connection: Connection, notification_id: str, tenant_id: str | None, now: datetime
) -> list[Explanation]:
    if _of(find_notification(connection, notification_id), tenant_id) is None:
        raise missing("notification", notification_id, tenant_id)
    where = read_surroundings(connection, now)
    going = select(runs).where(runs.c.notification_id == notification_id)
    planned = select(deliveries).where(deliveries.c.notification_id == notification_id)
    ordered = planned.order_by(deliveries.c.created_at, deliveries.c.channel, deliveries.c.step_key)
    found = [as_record(WorkflowRun, row) for row in connection.execute(going).mappings()]
    sent = [as_record(Delivery, row) for row in connection.execute(ordered).mappings()]
    return [
        *(explain_known_run(one, where) for one in read_runs(connection, found)),
        *(explain_known_delivery(one, where) for one in read_situations(connection, sent)),
    ]


def _of(found: T | None, tenant_id: str | None) -> T | None:
    return found if found is not None and tenant_id in {None, found.tenant_id} else None


def missing(what: str, asked: str, tenant_id: str | None) -> NotificationNotFound:
    """Make the error for something that is not there."""
    where = "in this database" if tenant_id is None else f"in the tenant {tenant_id!r}"
    return NotificationNotFound(
        f"no {what} {asked!r} {where}; was its transaction rolled back, or has it been pruned?"
    )
