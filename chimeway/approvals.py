"""`approve` and `reject`: a person's word on what a model wrote. The first one counts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn

from sqlalchemy import Connection, select

from chimeway.delivery_content import step_text
from chimeway.engine.definitions import load_definition
from chimeway.engine.moves import lock_run
from chimeway.errors import ChimewayError, NotificationNotFound, NotifierInvalid
from chimeway.models import RunState, Signal, WorkflowRun
from chimeway.rows import as_record
from chimeway.settings import settings
from chimeway.signal import add_signal
from chimeway.store import atransact, transact
from chimeway.tables import signals, step_outputs
from chimeway.trigger_checks import checked_key
from chimeway.workflow.signal_match import APPROVAL
from chimeway.workflow.steps import APPROVED, REJECTED, WRITTEN, Approve
from jobs.host_connection import AsyncHostSession, HostSession
from jobs.sqltypes import insert_into

#: How the keys begin under which a step is decided once.
DEDUP = "chimeway.approval:"
#: Characters of a note, and of a text that a reviewer has changed.
LONGEST_NOTE, LONGEST_TEXT = 10_000, 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """What a person has decided."""

    run_id: str
    #: The `Approve` step.
    step_key: str
    #: `approved` or `rejected`.
    decision: str
    by: str
    decided_at: datetime
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    """What somebody wants to decide."""

    run_id: str
    decision: str
    by: str
    note: str | None
    text: str | None
    step_key: str | None
    tenant_id: str | None


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
    wish = _wish(run_id, APPROVED, by, note, text, step_key, tenant_id)
    return transact(session, _decide, wish, settings().clock.now())


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
    wish = _wish(run_id, APPROVED, by, note, text, step_key, tenant_id)
    return await atransact(session, _decide, wish, settings().clock.now())


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
    wish = _wish(run_id, REJECTED, by, note, None, step_key, tenant_id)
    return transact(session, _decide, wish, settings().clock.now())


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
    wish = _wish(run_id, REJECTED, by, note, None, step_key, tenant_id)
    return await atransact(session, _decide, wish, settings().clock.now())
