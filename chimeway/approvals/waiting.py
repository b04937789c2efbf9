"""`pending_approvals`: the runs that wait for a person, with what that person is to read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, literal, or_, select
from sqlalchemy.sql.expression import ColumnElement

from aquila.errors import ConfigError
from chimeway.delivery_content import step_text
from chimeway.engine.definitions import load_definition
from chimeway.errors import NotificationNotFound, NotifierInvalid
from chimeway.models import RunState
from chimeway.settings import settings
from chimeway.store import aread, read
from chimeway.tables import notifications, runs, signals
from chimeway.workflow.decisions import WAITING_FOR_APPROVAL
from chimeway.workflow.signal_match import APPROVAL
from chimeway.workflow.steps import Approve
from jobs.sqltypes import storable

MOST = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingApproval:
    """A run that waits for a person."""

    run_id: str
    tenant_id: str
    notification_id: str
    notification_key: str
    recipient_identity: str
    workflow_key: str
    #: The `Approve` step, and the step whose text it is about.
    step_key: str
    of: str
    #: What the model wrote; None if that step was passed over.
    text: str | None
    waiting_since: datetime
    #: When it counts as expired; None if it waits for ever.
    expires_at: datetime | None


def pending_approvals(tenant_id: str | None = None, *, limit: int = 100) -> list[PendingApproval]:
    """Give the runs that wait for `approve` or `reject`, those that have waited longest first.

    Args:
        tenant_id: Whose; None means everyone's.
        limit: How many at most, up to 1,000.

    Raises:
        ConfigError: The limit is no such number, or the tables are missing.
        StorageError: The database failed.
    """
    return read(_pending, tenant_id, _checked(limit), settings().clock.now())


async def apending_approvals(tenant_id: str | None = None, *, limit: int = 100) -> list[PendingApproval]:
    """Do as `pending_approvals` does, without blocking the loop.

    Args:
        tenant_id: Whose; None means everyone's.
        limit: How many at most, up to 1,000.

    Raises:
        ConfigError: The limit is no such number, or the tables are missing.
        StorageError: The database failed.
    """
    return await aread(_pending, tenant_id, _checked(limit), settings().clock.now())


def _checked(limit: int) -> int:
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MOST:
        raise ConfigError(f"limit={limit!r} must be a number from 1 to {MOST:,}")
    return limit


def _pending(
    connection: Connection, tenant_id: str | None, limit: int, now: datetime
) -> list[PendingApproval]:
    query = (
        select(runs, notifications.c.notification_key)
        .join(notifications, notifications.c.id == runs.c.notification_id)
        .where(
            runs.c.state == RunState.WAITING.value,
            runs.c.reason == WAITING_FOR_APPROVAL,
            or_(runs.c.due_at.is_(None), runs.c.due_at > now),
            ~_is_decided(),
        )
        .order_by(runs.c.last_transition_at, runs.c.id)
        .limit(limit)
    )
    if tenant_id is not None:
        query = query.where(runs.c.tenant_id == storable(tenant_id))
    found = (_described(connection, row) for row in connection.execute(query).all())
    return [one for one in found if one is not None]


def _is_decided() -> ColumnElement[bool]:
    """Whether somebody has decided, and the run has not heard of it yet."""
    key = literal(f"{APPROVAL}:") + runs.c.id + literal(":") + runs.c.current_step_key
    same = and_(signals.c.tenant_id == runs.c.tenant_id, signals.c.dedup_key == key)
    return select(signals.c.id).where(same).exists()


def _described(connection: Connection, row: Row[Any]) -> PendingApproval | None:
    try:
        step = load_definition(connection, row.definition_id).find(row.current_step_key)
    except (NotifierInvalid, NotificationNotFound):
        # A newer version stored it, and lists it.
        return None
    if not isinstance(step, Approve):
        return None
    return PendingApproval(
        run_id=row.id,
        tenant_id=row.tenant_id,
        notification_id=row.notification_id,
        notification_key=row.notification_key,
        recipient_identity=row.recipient_identity,
        workflow_key=row.workflow_key,
        step_key=step.key,
        of=step.of,
        text=step_text(connection, row.id, step.of),
        waiting_since=row.step_started_at,
        expires_at=row.due_at,
    )
