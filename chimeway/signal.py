"""`track`: the application tells what a person did, a row and a job, so that it costs a web request next to nothing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from chimeway import carriers
from chimeway.errors import NotifierInvalid
from chimeway.models import Signal
from chimeway.privacy import redacted
from chimeway.recipients.whose import whose
from chimeway.rows import as_record
from chimeway.settings import settings
from chimeway.store import add_jobs, atransact, transact
from chimeway.tables import signals
from chimeway.trigger_checks import checked_key, checked_tenant
from chimeway.workflow.signal_match import APPROVAL, EVENT_NAME, OWN
from jobs.host_connection import AsyncHostSession, HostSession
from jobs.rows import new_id
from jobs.sqltypes import insert_into


def track(
    tenant_id: str,
    actor_id: Any,
    event_name: str,
    payload: Mapping[str, Any] | None = None,
    *,
    dedup_key: str | None = None,
    session: HostSession | None = None,
) -> Signal:
    """Tell that a person did something: `track("default", user_id, "comment.answered", {"comment_id": 7})`.

    A job looks for runs that wait for it. One that comes before its wait has begun counts as well.

    Args:
        tenant_id: Whose it is.
        actor_id: Who did it, an id or a `Recipient`; runs of notifications to this recipient hear it.
        event_name: What was done; up to 100 letters, digits, `_`, `.`, `:` and `-`.
        payload: JSON values that a wait gate may ask for. Secrets are left out.
        dedup_key: A second signal of the tenant with the same key adds nothing, and the first one is given.
        session: A session or connection of SQLAlchemy's, in whose transaction it is told; None uses one of our own.

    Raises:
        NotifierInvalid: A name, a key or a value cannot be used.
        ConfigError: The session is none in whose transaction this can be done.
        StorageError: The database failed, and nothing was told.
        SQLAlchemyError: A statement failed in the caller's transaction.
    """
    checked = _checked(tenant_id, actor_id, event_name, payload, dedup_key)
    return transact(session, add_signal, now=settings().clock.now(), **checked)


async def atrack(
    tenant_id: str,
    actor_id: Any,
    event_name: str,
    payload: Mapping[str, Any] | None = None,
    *,
    dedup_key: str | None = None,
    session: AsyncHostSession | None = None,
) -> Signal:
    """Do as `track` does, with an asynchronous session and without blocking the loop.

    Args:
        tenant_id: Whose it is.
        actor_id: Who did it.
        event_name: What was done.
        payload: JSON values that a wait gate may ask for.
        dedup_key: A second signal of the tenant with the same key adds nothing.
        session: An asynchronous session or connection of SQLAlchemy's; None uses a transaction of our own.

    Raises:
        NotifierInvalid: A name, a key or a value cannot be used.
        ConfigError: The session is none in whose transaction this can be done.
        StorageError: The database failed, and nothing was told.
        SQLAlchemyError: A statement failed in the caller's transaction.
    """
    checked = _checked(tenant_id, actor_id, event_name, payload, dedup_key)
    return await atransact(session, add_signal, now=settings().clock.now(), **checked)


def add_signal(
    connection: Connection,
    *,
    tenant_id: str,
    actor_id: str,
    event_name: str,
    payload: Mapping[str, Any],
    now: datetime,
    dedup_key: str | None = None,
) -> Signal:
    """Add a signal and the job that routes it, in a transaction; give the one that has its key if there is one."""
    signal_id = new_id()
    job = carriers.route_signal(signal_id)
    row = {
        "id": signal_id,
        "tenant_id": tenant_id,
        "actor_id": actor_id,
        "event_name": event_name,
        "payload": redacted(payload),
        "dedup_key": dedup_key,
        "occurred_at": now,
        "carrier_id": job.job_id,
    }
    connection.execute(insert_into(connection, signals).on_conflict_do_nothing().values(**row))
    if dedup_key is not None:
        key = (signals.c.tenant_id == tenant_id) & (signals.c.dedup_key == dedup_key)
        found = as_record(Signal, connection.execute(select(signals).where(key)).mappings().one())
        if found.signal_id != signal_id:
            return found
    add_jobs(connection, [job])
    return as_record(Signal, row)


def _checked(
    tenant_id: str, actor_id: Any, event_name: str, payload: Mapping[str, Any] | None, dedup_key: str | None
) -> dict[str, Any]:
    if not isinstance(event_name, str) or not EVENT_NAME.fullmatch(event_name):
        raise NotifierInvalid(
            f"event_name={event_name!r} may hold up to 100 letters, digits, '_', '.', ':' and '-', and begins with a letter"
        )
    if event_name == APPROVAL:
        raise NotifierInvalid(
            f"{APPROVAL} is told by chimeway.approve and chimeway.reject, which check who decides what"
        )
    if isinstance(dedup_key, str) and dedup_key.startswith(OWN):
        raise NotifierInvalid(
            f"a dedup_key that begins with {OWN!r} is one of chimeway's own; begin it otherwise"
        )
    if payload is not None and not isinstance(payload, Mapping):
        raise NotifierInvalid(f"payload is a mapping of names to values, not {type(payload).__name__}")
    return {
        "tenant_id": checked_tenant(tenant_id),
        "actor_id": whose(actor_id, tenant_id).identity,
        "event_name": event_name,
        "payload": payload or {},
        "dedup_key": checked_key("dedup_key", dedup_key),
    }
