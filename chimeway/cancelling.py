"""`cancel`: takes back what has not gone out yet, by the key of its trigger or by an id."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, TypeAlias

from sqlalchemy import Connection, select, update

from aquila.errors import ConfigError
from chimeway.cancelling_scope import Scope, check_there, read_scope
from chimeway.dispatch.outcome import CANCEL_REQUESTED, conclude
from chimeway.engine.ending import cancel_run
from chimeway.models import Delivery, DeliveryStatus, Outcome, RunState
from chimeway.rows import as_record, in_parts
from chimeway.settings import settings
from chimeway.store import atransact, transact, write
from chimeway.tables import deliveries, fanouts, runs
from jobs.host_connection import AsyncHostSession, HostSession
from jobs.sqltypes import storable
from jobs.threads import in_thread

#: Runs or deliveries that one transaction of our own takes back.
BATCH = 100
#: Characters of a reason that every row keeps.
LONGEST_REASON = 100
#: What a delivery says that was being sent when it was cancelled.
_OPEN = (DeliveryStatus.PENDING.value, DeliveryStatus.FAILED.value)
_RUNNING = (RunState.ACTIVE.value, RunState.WAITING.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled:
    """What was taken back."""

    #: The ids of deliveries that will not go out.
    deliveries: Sequence[str] = ()
    #: The ids of workflow runs that were stopped.
    runs: Sequence[str] = ()
    #: The ids of deliveries that are with their channel at this moment: nobody can take these back.
    sending: Sequence[str] = ()
    #: Parts of events of many recipients for which nothing was planned yet, and nothing will be.
    chunks: int = 0

    def __add__(self, other: Cancelled) -> Cancelled:
        return Cancelled(
            deliveries=(*self.deliveries, *other.deliveries),
            runs=(*self.runs, *other.runs),
            sending=(*self.sending, *other.sending),
            chunks=self.chunks + other.chunks,
        )


def cancel(
    *,
    key: str | None = None,
    event_id: str | None = None,
    notification_id: str | None = None,
    delivery_id: str | None = None,
    tenant_id: str = "default",
    reason: str = "cancelled",
    session: HostSession | None = None,
) -> Cancelled:
    """Take back what has not gone out yet: deliveries that wait, for whatever it is, and workflows that go on.

    Once more it does nothing. What was delivered stays so, and what is being sent ends as it ends.

    Args:
        key: The `cancellation_key` of triggers; all of them with this key.
        event_id: One event, instead of a key.
        notification_id: One recipient's notification.
        delivery_id: One delivery. The workflow that it belongs to goes on by its rules for `cancelled`.
        tenant_id: Whose they are.
        reason: A word that deliveries and runs keep.
        session: A session or connection of SQLAlchemy's, in whose transaction it is done; None uses transactions of our
            own, a hundred deliveries in each.

    Raises:
        ConfigError: Not one thing is named, a value cannot be used, or the session is none in whose transaction this can
            be done.
        NotificationNotFound: The tenant has nothing with that id.
        StorageError: The database failed; what was taken back by then stays so.
        SQLAlchemyError: A statement failed in the caller's transaction.
    """
    scope = read_scope(
        tenant_id, key=key, event_id=event_id, notification_id=notification_id, delivery_id=delivery_id
    )
    order = _Order(scope, _checked_reason(reason), settings().clock.now())
    return _cancel(write, order) if session is None else transact(session, _cancel_all, order)


async def acancel(
    *,
    key: str | None = None,
    event_id: str | None = None,
    notification_id: str | None = None,
    delivery_id: str | None = None,
    tenant_id: str = "default",
    reason: str = "cancelled",
    session: AsyncHostSession | None = None,
) -> Cancelled:
    """Do as `cancel` does, with an asynchronous session and without blocking the loop.

    Args:
        key: The `cancellation_key` of triggers; all of them with this key.
        event_id: One event, instead of a key.
        notification_id: One recipient's notification.
        delivery_id: One delivery.
        tenant_id: Whose they are.
        reason: A word that deliveries and runs keep.
        session: An asynchronous session or connection of SQLAlchemy's; None uses transactions of our own.

    Raises:
        ConfigError: Not one thing is named, a value cannot be used, or the session is none in whose transaction this can
            be done.
        NotificationNotFound: The tenant has nothing with that id.
        StorageError: The database failed; what was taken back by then stays so.
        SQLAlchemyError: A statement failed in the caller's transaction.
    """
    scope = read_scope(
        tenant_id, key=key, event_id=event_id, notification_id=notification_id, delivery_id=delivery_id
    )
    order = _Order(scope, _checked_reason(reason), settings().clock.now())
    if session is None:
        return await in_thread(partial(_cancel, write, order))
    return await atransact(session, _cancel_all, order)


@dataclass(frozen=True, slots=True)
class _Order:
    """What is to be taken back."""

    scope: Scope
    reason: str
    now: datetime


#: Takes back what comes after an id; gives what that was, and the id to go on from, None at the end.
_Step: TypeAlias = Callable[[Connection, _Order, str], tuple[Cancelled, str | None]]


def _cancel(run: Callable[..., Any], order: _Order) -> Cancelled:
    """Do step after step, a few rows at a time.

    Args:
        run: Runs `step(connection, ...)` in a transaction.
        order: What is to be taken back.
    """
    total = Cancelled()
    # In this order, so that nothing which is taken back plans anything more.
    steps: tuple[_Step, ...] = (_leave_unplanned, _stop_runs, _cancel_deliveries)
    for step in steps:
        after: str | None = ""
        while after is not None:
            done, after = run(step, order, after)
            total += done
    return total


def _cancel_all(connection: Connection, order: _Order) -> Cancelled:
    return _cancel(lambda step, *args: step(connection, *args), order)


def _leave_unplanned(connection: Connection, order: _Order, _after: str) -> tuple[Cancelled, str | None]:
    check_there(connection, order.scope)
    unplanned = (order.scope.fanouts(), fanouts.c.planned_at.is_(None))
    given_up = update(fanouts).where(*unplanned).values(planned_at=order.now, error=order.reason)
    return Cancelled(chunks=connection.execute(given_up).rowcount), None


def _stop_runs(connection: Connection, order: _Order, after: str) -> tuple[Cancelled, str | None]:
    query = select(runs.c.id).where(order.scope.runs(), runs.c.state.in_(_RUNNING), runs.c.id > after)
    ids = list(connection.scalars(query.order_by(runs.c.id).limit(BATCH)))
    waiting = select(deliveries.c.id).where(deliveries.c.run_id.in_(ids), deliveries.c.status.in_(_OPEN))
    theirs = list(connection.scalars(waiting))
    stopped = [run_id for run_id in ids if cancel_run(connection, run_id, order.reason, order.now)]
    taken: list[str] = []
    for part in in_parts(theirs):
        over = (deliveries.c.id.in_(part), deliveries.c.outcome == Outcome.CANCELLED.value)
        taken += connection.scalars(select(deliveries.c.id).where(*over))
    return Cancelled(deliveries=taken, runs=stopped), ids[-1] if len(ids) == BATCH else None


def _cancel_deliveries(connection: Connection, order: _Order, after: str) -> tuple[Cancelled, str | None]:
    open_now = deliveries.c.status.in_((*_OPEN, DeliveryStatus.DISPATCHED.value))
    query = select(deliveries).where(order.scope.deliveries(), open_now, deliveries.c.id > after)
    # Kept from those who would send them, until the transaction is over.
    locked = query.order_by(deliveries.c.id).limit(BATCH).with_for_update()
    found = [as_record(Delivery, row) for row in connection.execute(locked).mappings()]
    taken: list[str] = []
    sending: list[str] = []
    for one in found:
        if one.status is DeliveryStatus.DISPATCHED:
            _ask(connection, one, order)
            sending.append(one.delivery_id)
        elif conclude(connection, one, Outcome.CANCELLED, order.now, reason=order.reason):
            taken.append(one.delivery_id)
    going_on = found[-1].delivery_id if len(found) == BATCH else None
    return Cancelled(deliveries=taken, sending=sending), going_on


def _ask(connection: Connection, one: Delivery, order: _Order) -> None:
    """Note on a delivery that is being sent that it is not to be sent once more."""
    mine = (deliveries.c.id == one.delivery_id, deliveries.c.claim_token == one.claim_token)
    asked = {"reason": CANCEL_REQUESTED, "reason_context": {"reason": order.reason}}
    connection.execute(update(deliveries).where(*mine).values(**asked))


def _checked_reason(reason: str) -> str:
    if (
        not isinstance(reason, str)
        or not reason.strip()
        or len(reason) > LONGEST_REASON
        or reason != storable(reason)
    ):
        raise ConfigError(f"reason={reason!r} is a word of 1 to {LONGEST_REASON} characters")
    return reason
