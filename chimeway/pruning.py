"""`prune`: removes what is long over, with everything that belongs to it. Some events in one transaction."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, exists, func, or_, select

from aquila.errors import ConfigError
from chimeway.models import DeliveryStatus, RunState
from chimeway.settings import settings
from chimeway.store import write
from chimeway.tables import (
    attempts,
    deliveries,
    digest_buckets,
    events,
    fanouts,
    feedback,
    notifications,
    run_waits,
    runs,
    signals,
    step_outputs,
    transitions,
)
from jobs.threads import in_thread

DEFAULT_AGE = timedelta(days=90)
#: Events of one transaction, and deliveries; an event of more than these goes by itself.
BATCH, MOST_DELIVERIES = 100, 2_000
#: Other rows of one transaction.
ROWS = 1_000
#: Not further back than databases count.
_CENTURY = timedelta(days=36_500)
_OPEN = [status.value for status in DeliveryStatus if not status.terminal]
_RUNNING = [RunState.ACTIVE.value, RunState.WAITING.value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """How many rows were removed."""

    events: int = 0
    notifications: int = 0
    deliveries: int = 0
    runs: int = 0
    signals: int = 0
    feedback: int = 0
    digests: int = 0

    @property
    def total(self) -> int:
        """How many in all; attempts and transitions, which go with the others, are not counted."""
        return sum(asdict(self).values())

    def __add__(self, other: Pruned) -> Pruned:
        mine, others = asdict(self), asdict(other)
        return Pruned(**{name: number + others[name] for name, number in mine.items()})


def prune(older_than: timedelta = DEFAULT_AGE) -> Pruned:
    """Remove events that are long over: all their deliveries and workflow runs ended before then, and so they did.

    With them go their notifications, out of inboxes too, and their idempotency keys, which are free again. Signals and
    feedback as old as that go, too. Nothing that still has something to do is touched, however old it is.

    Args:
        older_than: How long ago all must have ended.

    Raises:
        ConfigError: It is no time, or the jobs cannot be used as configured.
        StorageError: The database failed; what was removed by then stays so.
    """
    if not isinstance(older_than, timedelta) or older_than < timedelta():
        raise ConfigError(f"older_than={older_than!r} is a timedelta from zero: timedelta(days=90)")
    before = settings().clock.now() - min(older_than, _CENTURY)
    total = Pruned()
    for step in (_prune_events, _prune_signals, _prune_feedback, _prune_digests):
        while (done := write(step, before)).total:
            total += done
    return total


async def aprune(older_than: timedelta = DEFAULT_AGE) -> Pruned:
    """Do as `prune` does, without blocking the loop.

    Args:
        older_than: How long ago all must have ended.

    Raises:
        ConfigError: It is no time, or the jobs cannot be used as configured.
        StorageError: The database failed; what was removed by then stays so.
    """
    return await in_thread(partial(prune, older_than))


def _prune_events(connection: Connection, before: datetime) -> Pruned:
    ids = _events_of_ours(connection, before)
    if not ids:
        return Pruned()
    theirs = select(deliveries.c.id).where(deliveries.c.event_id.in_(ids))
    _remove(connection, attempts, attempts.c.delivery_id.in_(theirs))
    their_runs = select(runs.c.id).where(runs.c.event_id.in_(ids))
    for table in (transitions, step_outputs, run_waits):
        _remove(connection, table, table.c.run_id.in_(their_runs))
    _remove(connection, fanouts, fanouts.c.event_id.in_(ids))
    return Pruned(
        runs=_remove(connection, runs, runs.c.event_id.in_(ids)),
        deliveries=_remove(connection, deliveries, deliveries.c.event_id.in_(ids)),
        notifications=_remove(connection, notifications, notifications.c.event_id.in_(ids)),
        events=_remove(connection, events, events.c.id.in_(ids)),
    )


def _events_of_ours(connection: Connection, before: datetime) -> list[str]:
    """Give some events that are over, and that nobody else can move until this transaction ends."""
    busy: set[str] = set()
    while ids := _few(connection, _old_events(connection, before, busy)):
        held = _held(connection, ids, before)
        if ours := [one for one in ids if one not in held]:
            return ours
        busy |= held
    return []


def _held(connection: Connection, ids: Sequence[str], before: datetime) -> set[str]:
    """Lock the deliveries of events; give the events of those that somebody else has, or has revived meanwhile."""
    theirs = deliveries.c.event_id.in_(ids)
    is_old = or_(deliveries.c.terminal_at.is_(None), deliveries.c.terminal_at < before)
    over = and_(deliveries.c.status.not_in(_OPEN), is_old)
    query = select(deliveries.c.id).where(theirs, over).order_by(deliveries.c.id)
    # A host's transaction in which `retry` has revived one is not waited for: it may go on for long.
    locked = set(connection.scalars(query.with_for_update(skip_locked=True)))
    every = connection.execute(select(deliveries.c.id, deliveries.c.event_id).where(theirs))
    return {str(event_id) for delivery_id, event_id in every if delivery_id not in locked}


def _old_events(connection: Connection, before: datetime, busy: Collection[str]) -> list[str]:
    unfinished = exists().where(
        deliveries.c.event_id == events.c.id,
        or_(deliveries.c.status.in_(_OPEN), deliveries.c.terminal_at >= before),
    )
    running = exists().where(
        runs.c.event_id == events.c.id, or_(runs.c.state.in_(_RUNNING), runs.c.ended_at >= before)
    )
    unplanned = exists().where(fanouts.c.event_id == events.c.id, fanouts.c.planned_at.is_(None))
    over = and_(events.c.created_at < before, events.c.id.not_in(busy), ~unfinished, ~running, ~unplanned)
    query = select(events.c.id).where(over).order_by(events.c.created_at, events.c.id).limit(BATCH)
    # Another one that prunes has its own.
    return list(connection.scalars(query.with_for_update(skip_locked=True)))


def _few(connection: Connection, ids: Sequence[str]) -> list[str]:
    """Give as many events as one transaction removes, at least one."""
    query = select(deliveries.c.event_id, func.count()).where(deliveries.c.event_id.in_(ids))
    sizes = {
        str(event_id): int(count)
        for event_id, count in connection.execute(query.group_by(deliveries.c.event_id))
    }
    few: list[str] = []
    total = 0
    for event_id in ids:
        total += sizes.get(event_id, 0)
        if few and total > MOST_DELIVERIES:
            break
        few.append(event_id)
    return few


def _prune_signals(connection: Connection, before: datetime) -> Pruned:
    # A run that goes on may come to a wait which what was done since its beginning ends.
    heard = exists().where(
        runs.c.tenant_id == signals.c.tenant_id,
        runs.c.recipient_identity == signals.c.actor_id,
        runs.c.state.in_(_RUNNING),
    )
    old = and_(signals.c.occurred_at < before, signals.c.processed_at.is_not(None), ~heard)
    return Pruned(signals=_remove_some(connection, signals, old))


def _prune_feedback(connection: Connection, before: datetime) -> Pruned:
    old = and_(feedback.c.received_at < before, feedback.c.processed_at.is_not(None))
    return Pruned(feedback=_remove_some(connection, feedback, old))


def _prune_digests(connection: Connection, before: datetime) -> Pruned:
    held = exists().where(deliveries.c.digest_bucket_id == digest_buckets.c.id)
    old = and_(digest_buckets.c.flushed_at < before, ~held)
    return Pruned(digests=_remove_some(connection, digest_buckets, old))


def _remove_some(connection: Connection, table: Table, old: ColumnElement[bool]) -> int:
    some = select(table.c.id).where(old).limit(ROWS).with_for_update(skip_locked=True)
    ids = list(connection.scalars(some))
    return _remove(connection, table, table.c.id.in_(ids)) if ids else 0


def _remove(connection: Connection, table: Table, which: ColumnElement[bool]) -> int:
    return connection.execute(delete(table).where(which)).rowcount
