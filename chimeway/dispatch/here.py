"""The synchronous dispatcher: this process delivers what it has planned, once that is committed."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary, ref

from sqlalchemy import Connection, Transaction, event
from sqlalchemy.exc import MissingGreenlet
from sqlalchemy.orm import Session
from sqlalchemy.util import await_only

from chimeway.dispatch.performing import perform, perform_sync
from chimeway.fanout import Chunk, plan_chunk
from chimeway.planning import delivering_here
from chimeway.settings import settings
from jobs.broker import before_close
from jobs.commit_watch import CommitWatch
from jobs.threads import in_thread

logger = logging.getLogger("chimeway")

#: A delivery's id, or recipients that are to be planned first.
Work: TypeAlias = "str | Chunk"


def deliver_here(work: Iterable[Work]) -> None:
    """Deliver, and what workflows plan thereupon. Nothing is raised: what fails is kept, and sent by the sweep."""
    with delivering_here() as planned:
        waiting = deque(work)
        while waiting:
            one = waiting.popleft()
            try:
                if isinstance(one, Chunk):
                    plan_chunk(one, settings().clock.now())
                else:
                    perform_sync(one)
            except Exception as error:  # noqa: BLE001 - the caller's own work is done, and must not fail for this
                _tell(one, error)
            waiting.extendleft(reversed(planned))
            planned.clear()


async def adeliver_here(work: Iterable[Work]) -> None:
    """Do as `deliver_here` does, on the running loop."""
    with delivering_here() as planned:
        waiting = deque(work)
        while waiting:
            one = waiting.popleft()
            try:
                if isinstance(one, Chunk):
                    await in_thread(plan_chunk, one, settings().clock.now())
                else:
                    await perform(one)
            except Exception as error:  # noqa: BLE001 - the caller's own work is done, and must not fail for this
                _tell(one, error)
            waiting.extendleft(reversed(planned))
            planned.clear()


def _tell(work: Work, error: Exception) -> None:
    which = f"event {work.event_id}, part {work.chunk}" if isinstance(work, Chunk) else f"delivery {work}"
    # What the error says may hold an address.
    logger.warning("%s: %s; the sweep goes on with it", which, type(error).__name__)


@dataclass(slots=True)
class _Pending:
    """What a session's transaction has planned."""

    is_async: bool
    transaction: ref[Transaction] | None = None
    work: list[Work] = field(default_factory=list)


_PENDING: WeakKeyDictionary[Session, _Pending] = WeakKeyDictionary()
#: For connections, and for sessions within a transaction that somebody else ends.
_WATCH: CommitWatch[Work] = CommitWatch(deliver_here, name="chimeway-dispatcher")


def finish() -> None:
    """Wait until what connections have committed is delivered. The process does so at its end by itself."""
    _WATCH.close()


before_close(finish)


def _begin_anew() -> None:
    """Leave the parent's transactions to the process that this one was forked from."""
    global _WATCH  # noqa: PLW0603 - a process has one
    _WATCH = CommitWatch(deliver_here, name="chimeway-dispatcher")
    _PENDING.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


def deliver_after(
    session: Session | Connection, connection: Connection, work: Sequence[Work], *, is_async: bool = False
) -> None:
    """Deliver when the caller's outermost transaction is over, those that it has committed.

    A session's `commit()` returns when they were sent. A connection tells nobody of its end, so a thread of this process
    notices it, and sends them a moment later.

    Args:
        session: What the caller gave.
        connection: What it uses.
        work: What was planned in the transaction. What it, or a savepoint of it, rolls back is not there then.
        is_async: Whether the session is one below an asynchronous session, whose loop delivers.
    """
    transaction = connection.get_transaction()
    if not isinstance(session, Session):
        if transaction is not None:
            _WATCH.watch(transaction, list(work))
        return
    pending = _PENDING.get(session)
    if pending is None:
        pending = _PENDING[session] = _Pending(is_async)
        event.listen(session, "after_transaction_end", _ended)
    pending.is_async = is_async
    pending.transaction = None if transaction is None else ref(transaction)
    pending.work.extend(work)


def _ended(session: Session, transaction: Any) -> None:
    pending = _PENDING.get(session)
    if pending is None or transaction.parent is not None or not pending.work:
        return
    work, pending.work = pending.work, []
    outer = pending.transaction() if pending.transaction is not None else None
    if outer is not None and outer.is_active:
        # The session has joined a transaction that goes on.
        _WATCH.watch(outer, work)
    elif pending.is_async:
        _await(partial(adeliver_here, work), work)
    else:
        deliver_here(work)


def _await(deliver: Callable[[], Any], work: list[Work]) -> None:
    try:
        await_only(deliver())
    except MissingGreenlet:
        # Its end came from outside of its loop: a collected session, say.
        deliver_here(work)
