"""`retry`: a delivery that was given up, or waits for its next attempt, is due once more."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update

from chimeway import carriers
from chimeway.errors import ChimewayError, NotificationNotFound
from chimeway.models import Delivery, DeliveryStatus, Orchestration, Outcome
from chimeway.rows import as_record, get_delivery
from chimeway.settings import settings
from chimeway.store import add_jobs, atransact, transact
from chimeway.tables import deliveries
from jobs.host_connection import AsyncHostSession, HostSession

#: Outcomes after which another attempt makes sense, once their cause is mended.
GIVEN_UP = frozenset({Outcome.RETRIES_EXHAUSTED, Outcome.PERMANENT_FAILURE, Outcome.BOUNCED})
#: Why a delivery is due that was asked for once more.
RETRIED = "retried"
#: Why one was given up whose text could not be written.
CONTENT_FAILED = "content_failed"


def retry(delivery_id: str, tenant_id: str | None = None, *, session: HostSession | None = None) -> Delivery:
    """Let a delivery be sent once more that was given up, or now if it waits for its next attempt.

    A job delivers it, so a worker must run. One that has used up its attempts gets one more. What its workflow did
    meanwhile stays done; what its channel has taken already may arrive twice.

    Args:
        delivery_id: The delivery.
        tenant_id: Whose it must be; None asks nothing.
        session: A session or connection of SQLAlchemy's, in whose transaction it is done; None uses one of our own.

    Returns:
        The delivery, as it is then.

    Raises:
        NotificationNotFound: There is none, or another tenant's.
        ChimewayError: It is not one that was given up or is to be tried again.
        ConfigError: The session is none in whose transaction this can be done.
        StorageError: The database failed, and nothing has changed.
        SQLAlchemyError: A statement failed in the caller's transaction.
    """
    return transact(session, _retry, delivery_id, tenant_id, settings().clock.now())


async def aretry(
    delivery_id: str, tenant_id: str | None = None, *, session: AsyncHostSession | None = None
) -> Delivery:
    """Do as `retry` does, with an asynchronous session and without blocking the loop.

    Args:
        delivery_id: The delivery.
        tenant_id: Whose it must be; None asks nothing.
        session: An asynchronous session or connection of SQLAlchemy's; None uses a transaction of our own.

    Returns:
        The delivery, as it is then.

    Raises:
        NotificationNotFound: There is none, or another tenant's.
        ChimewayError: It is not one that was given up or is to be tried again.
        ConfigError: The session is none in whose transaction this can be done.
        StorageError: The database failed, and nothing has changed.
        SQLAlchemyError: A statement failed in the caller's transaction.
    """
    return await atransact(session, _retry, delivery_id, tenant_id, settings().clock.now())


def _retry(connection: Connection, delivery_id: str, tenant_id: str | None, now: datetime) -> Delivery:
    row = (
        connection.execute(select(deliveries).where(deliveries.c.id == delivery_id).with_for_update())
        .mappings()
        .first()
    )
    seen = None if row is None else as_record(Delivery, row)
    if seen is None or tenant_id not in {None, seen.tenant_id}:
        raise NotificationNotFound(f"no delivery {delivery_id!r} to be tried again in this database")
    if (why := _why_not(seen)) is not None:
        raise ChimewayError(f"delivery {delivery_id} is not tried again: {why}")
    is_unwritten = seen.reason == CONTENT_FAILED
    job = carriers.write_content(delivery_id) if is_unwritten else carriers.deliver(delivery_id)
    mine = (
        deliveries.c.id == delivery_id,
        deliveries.c.status == seen.status.value,
        deliveries.c.attempt_count == seen.attempt_count,
    )
    changes = {**_changes(seen, now, is_unwritten=is_unwritten), "carrier_id": job.job_id}
    if connection.execute(update(deliveries).where(*mine).values(**changes)).rowcount != 1:
        raise ChimewayError(
            f"delivery {delivery_id} was moved by somebody else at this moment; look at it again"
        )
    add_jobs(connection, [job])
    return get_delivery(connection, delivery_id)


def _why_not(seen: Delivery) -> str | None:
    if seen.status is DeliveryStatus.FAILED:
        is_deferred = seen.orchestration_state is Orchestration.DEFERRED
        return "it waits for the end of the recipient's quiet hours" if is_deferred else None
    if seen.status is DeliveryStatus.CANCELLED and seen.outcome in GIVEN_UP:
        return None
    if not seen.status.terminal:
        return f"it is {seen.status}, and goes out without being asked again"
    return f"it is {seen.status}; only what failed is"


def _changes(seen: Delivery, now: datetime, *, is_unwritten: bool) -> dict[str, Any]:
    state = Orchestration.CONTENT_PENDING if is_unwritten else Orchestration.READY
    was_tried = seen.attempt_count > 0
    status = DeliveryStatus.FAILED if was_tried and not is_unwritten else DeliveryStatus.PENDING
    return {
        "status": status.value,
        "orchestration_state": state.value,
        "outcome": Outcome.TEMPORARY_FAILURE.value if status is DeliveryStatus.FAILED else None,
        "reason": RETRIED,
        "reason_context": None,
        "terminal_at": None,
        "next_attempt_at": now if status is DeliveryStatus.FAILED else None,
        "max_attempts": max(seen.max_attempts, seen.attempt_count + 1),
        "updated_at": now,
    }
