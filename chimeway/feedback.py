"""`receive_feedback`: what a provider posts about messages it took becomes rows, and jobs that take them in."""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, get_args
from uuid import UUID

from sqlalchemy import Connection, select

from aquila.errors import ConfigError
from chimeway import carriers
from chimeway.adapters.base import Adapter, FeedbackKind, ProviderFeedback
from chimeway.privacy import redacted_response
from chimeway.rows import in_parts
from chimeway.settings import settings
from chimeway.store import add_jobs, atransact, transact
from chimeway.tables import feedback
from jobs.host_connection import AsyncHostSession, HostSession
from jobs.rows import new_id
from jobs.sqltypes import insert_into, storable
from jobs.threads import in_thread

#: What a delivery's id looks like; anything else is nobody's.
_DELIVERY_ID = re.compile(r"[A-Za-z0-9_-]{1,32}", re.ASCII)
#: Characters of a provider's id that a row keeps.
_LONGEST_ID = 255


def receive_feedback(
    adapter_name: str, headers: Mapping[str, str], body: bytes, *, session: HostSession | None = None
) -> list[str]:
    """Take in what a provider posted: its signature is checked, then a row and a job are added for each piece of news.

    What the provider sends a second time adds nothing.

    Args:
        adapter_name: The adapter whose provider it is, by its name.
        headers: Of the request, all of them.
        body: Of the request, byte for byte as it came.
        session: A session or connection of SQLAlchemy's, in whose transaction it is stored; None uses one of our own.

    Returns:
        The ids of the rows that were added.

    Raises:
        FeedbackRefused: The signature does not fit, the request is too old, or it cannot be read.
        ConfigError: No adapter of this process has that name and takes feedback, what it gave is none, a value cannot be used,
            or the jobs cannot be used as configured.
        StorageError: The database failed, and nothing was added.
        SQLAlchemyError: A statement failed in the caller's transaction.
    """
    rows = _read(adapter_name, headers, body)
    return transact(session, _add, rows) if rows else []


async def areceive_feedback(
    adapter_name: str, headers: Mapping[str, str], body: bytes, *, session: AsyncHostSession | None = None
) -> list[str]:
    """Do as `receive_feedback` does, with an asynchronous session and without blocking the loop.

    Args:
        adapter_name: The adapter whose provider it is, by its name.
        headers: Of the request, all of them.
        body: Of the request, byte for byte as it came.
        session: An asynchronous session or connection of SQLAlchemy's; None uses a transaction of our own.

    Returns:
        The ids of the rows that were added.

    Raises:
        FeedbackRefused: The signature does not fit, the request is too old, or it cannot be read.
        ConfigError: No adapter of this process has that name and takes feedback, what it gave is none, a value cannot be used,
            or the jobs cannot be used as configured.
        StorageError: The database failed, and nothing was added.
        SQLAlchemyError: A statement failed in the caller's transaction.
    """
    rows = await in_thread(partial(_read, adapter_name, headers, body))
    return await atransact(session, _add, rows) if rows else []


def feedback_adapter(name: str) -> Adapter | None:
    """Give the adapter of that name which takes feedback; None if this process has none."""
    every = (adapter for adapters in settings().channels.values() for adapter in adapters)
    return next(
        (one for one in every if one.name == name and callable(getattr(one, "verify_feedback", None))), None
    )


def _read(adapter_name: str, headers: Mapping[str, str], body: bytes) -> list[dict[str, Any]]:
    adapter: Any = feedback_adapter(adapter_name)
    if adapter is None:
        raise ConfigError(
            f"no adapter of this process has the name {adapter_name!r} and a verify_feedback; "
            "give it to chimeway.configure(channels=...) in the process that receives its web hooks, too"
        )
    if not callable(getattr(headers, "items", None)):
        raise ConfigError(f"headers= are the request's, a mapping of texts, not {type(headers).__name__}")
    if not isinstance(body, bytes | bytearray | memoryview):
        raise ConfigError(
            f"body= is the request's body as it came, bytes, not {type(body).__name__}: what is signed are the bytes"
        )
    now = settings().clock.now()
    said = _said(adapter_name, adapter.verify_feedback(headers, bytes(body), now))
    rows = [_row(adapter_name, one, now) for one in said]
    # In one order, so that two requests with the same news do not wait for each other.
    return sorted(rows, key=lambda row: row["provider_event_id"] or "")


def _said(adapter_name: str, given: Any) -> Sequence[ProviderFeedback]:
    """Give what an adapter's verify_feedback gave, if it is that.

    Raises:
        ConfigError: It is not.
    """
    if inspect.iscoroutine(given):
        given.close()
    is_list = isinstance(given, Sequence) and not isinstance(given, str | bytes)
    odd = [one for one in given if not isinstance(one, ProviderFeedback)] if is_list else [given]
    if odd:
        what = f"{'a list with ' if is_list else ''}{type(odd[0]).__name__}"
        raise ConfigError(
            f"verify_feedback of the adapter {adapter_name!r} gave {what}; it is no async function and gives a list of "
            "chimeway.adapters.ProviderFeedback, an empty one if there is no news"
        )
    return list(given)


def _text(adapter_name: str, name: str, given: Any) -> str | None:
    """Give an id as text: many providers count.

    Raises:
        ConfigError: It is nothing that names anything.
    """
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, str | int | UUID):
        raise ConfigError(
            f"the adapter {adapter_name!r} gave feedback whose {name} is {type(given).__name__}, and must be a text"
        )
    return str(given) or None


def _row(adapter_name: str, said: ProviderFeedback, now: datetime) -> dict[str, Any]:
    if said.kind not in get_args(FeedbackKind):
        kinds = ", ".join(get_args(FeedbackKind))
        raise ConfigError(
            f"the adapter {adapter_name!r} gave feedback of the kind {said.kind!r}, which is none of {kinds}"
        )
    event_id = _text(adapter_name, "provider_event_id", said.provider_event_id)
    message_id = _text(adapter_name, "provider_message_id", said.provider_message_id)
    named = _text(adapter_name, "delivery_id", said.delivery_id)
    row_id = new_id()
    return {
        "id": row_id,
        "adapter": adapter_name,
        "provider_event_id": _event_id(event_id),
        "delivery_id": named if named and _DELIVERY_ID.fullmatch(named) else None,
        "provider_message_id": message_id,
        "kind": said.kind,
        "state": "queued",
        "detail": redacted_response({"detail": said.detail}) if said.detail else None,
        "received_at": now,
    }


def _event_id(given: str | None) -> str | None:
    """Give an id that a row can keep: one that is cut could be another's."""
    if not given:
        return None
    fits = len(given) <= _LONGEST_ID and storable(given) == given
    return given if fits else "sha256:" + hashlib.sha256(given.encode("utf-8", "surrogatepass")).hexdigest()


def _add(connection: Connection, rows: Sequence[dict[str, Any]]) -> list[str]:
    jobs = {row["id"]: carriers.process_feedback(row["id"]) for row in rows}
    given = [{**row, "carrier_id": jobs[row["id"]].job_id} for row in rows]
    connection.execute(insert_into(connection, feedback).on_conflict_do_nothing(), given)
    added: list[str] = []
    for ids in in_parts(jobs):
        added += connection.scalars(select(feedback.c.id).where(feedback.c.id.in_(ids)))
    ours = set(added)
    ordered = [row["id"] for row in rows if row["id"] in ours]
    add_jobs(connection, [jobs[row_id] for row_id in ordered])
    return ordered
