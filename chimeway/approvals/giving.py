"""`approve` and `reject`: a person's word on what a model wrote. The first one counts."""

from __future__ import annotations

from typing import Any

from chimeway.approvals.deciding import Approval, checked_wish, decide_wish
from chimeway.settings import settings
from chimeway.store import atransact, transact
from chimeway.workflow.steps import APPROVED, REJECTED
from jobs.host_connection import AsyncHostSession, HostSession


def approve(
    run_id: str,
    *,
    by: Any,
    note: str | None = None,
    text: str | None = None,
    step_key: str | None = None,
    tenant_id: str | None = None,
    session: HostSession | None = None,
) -> Approval:
    """Approve what a model wrote, so that the run goes on: `approve(run_id, by=user.id)`.

    The same person's second approval changes nothing and gives the first.

    Args:
        run_id: The run that waits at an `Approve` step.
        by: Who approves, by id.
        note: Why, for the run's history.
        text: The text as it shall be, if it was changed. `text_from` that step gives it; the model's own text is kept with
            the step that wrote it.
        step_key: The step that is meant, where a run has several; None takes the one that waits.
        tenant_id: Whose run it must be; None takes any.
        session: A session or connection of SQLAlchemy's, in whose transaction it is decided; None uses one of our own.

    Raises:
        NotificationNotFound: There is no such run, or it is another tenant's.
        ChimewayError: It waits for no approval: it was decided, has expired or stands elsewhere. The message says which.
        NotifierInvalid: A value cannot be used.
        ConfigError: The session is none in whose transaction this can be done.
        StorageError: The database failed, and nothing is decided.
        SQLAlchemyError: A statement failed in the caller's transaction.
    """
    wish = checked_wish(run_id, APPROVED, by=by, note=note, text=text, step_key=step_key, tenant_id=tenant_id)
    return transact(session, decide_wish, wish, settings().clock.now())


async def aapprove(
    run_id: str,
    *,
    by: Any,
    note: str | None = None,
    text: str | None = None,
    step_key: str | None = None,
    tenant_id: str | None = None,
    session: AsyncHostSession | None = None,
) -> Approval:
    """Do as `approve` does, with an asynchronous session and without blocking the loop.

    Args:
        run_id: The run that waits at an `Approve` step.
        by: Who approves, by id.
        note: Why, for the run's history.
        text: The text as it shall be, if it was changed.
        step_key: The step that is meant; None takes the one that waits.
        tenant_id: Whose run it must be; None takes any.
        session: An asynchronous session or connection of SQLAlchemy's; None uses a transaction of our own.

    Raises:
        NotificationNotFound: There is no such run, or it is another tenant's.
        ChimewayError: It waits for no approval.
        NotifierInvalid: A value cannot be used.
        ConfigError: The session is none in whose transaction this can be done.
        StorageError: The database failed, and nothing is decided.
        SQLAlchemyError: A statement failed in the caller's transaction.
    """
    wish = checked_wish(run_id, APPROVED, by=by, note=note, text=text, step_key=step_key, tenant_id=tenant_id)
    return await atransact(session, decide_wish, wish, settings().clock.now())


def reject(
    run_id: str,
    *,
    by: Any,
    note: str | None = None,
    step_key: str | None = None,
    tenant_id: str | None = None,
    session: HostSession | None = None,
) -> Approval:
    """Reject what a model wrote, so that the run goes on by its rules for `rejected`.

    Args:
        run_id: The run that waits at an `Approve` step.
        by: Who rejects, by id.
        note: Why, for the run's history.
        step_key: The step that is meant; None takes the one that waits.
        tenant_id: Whose run it must be; None takes any.
        session: A session or connection of SQLAlchemy's, in whose transaction it is decided; None uses one of our own.

    Raises:
        NotificationNotFound: There is no such run, or it is another tenant's.
        ChimewayError: It waits for no approval: it was decided, has expired or stands elsewhere. The message says which.
        NotifierInvalid: A value cannot be used.
        ConfigError: The session is none in whose transaction this can be done.
        StorageError: The database failed, and nothing is decided.
        SQLAlchemyError: A statement failed in the caller's transaction.
    """
    wish = checked_wish(run_id, REJECTED, by=by, note=note, step_key=step_key, tenant_id=tenant_id)
    return transact(session, decide_wish, wish, settings().clock.now())


async def areject(
    run_id: str,
    *,
    by: Any,
    note: str | None = None,
    step_key: str | None = None,
    tenant_id: str | None = None,
    session: AsyncHostSession | None = None,
) -> Approval:
    """Do as `reject` does, with an asynchronous session and without blocking the loop.

    Args:
        run_id: The run that waits at an `Approve` step.
        by: Who rejects, by id.
        note: Why, for the run's history.
        step_key: The step that is meant; None takes the one that waits.
        tenant_id: Whose run it must be; None takes any.
        session: An asynchronous session or connection of SQLAlchemy's; None uses a transaction of our own.

    Raises:
        NotificationNotFound: There is no such run, or it is another tenant's.
        ChimewayError: It waits for no approval.
        NotifierInvalid: A value cannot be used.
        ConfigError: The session is none in whose transaction this can be done.
        StorageError: The database failed, and nothing is decided.
        SQLAlchemyError: A statement failed in the caller's transaction.
    """
    wish = checked_wish(run_id, REJECTED, by=by, note=note, step_key=step_key, tenant_id=tenant_id)
    return await atransact(session, decide_wish, wish, settings().clock.now())
