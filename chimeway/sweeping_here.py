"""The sweep of a process that delivers itself: it does what it finds, so that no worker is needed."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol, TypeVar

from sqlalchemy import ColumnElement, Connection, Table, or_, select

from aquila.errors import ConfigError
from chimeway import store
from chimeway.digesting import flush
from chimeway.dispatch.here import Work, deliver_here
from chimeway.engine.due import due_runs, stalled_runs
from chimeway.engine.progress import progress_run
from chimeway.engine.router import route_signal
from chimeway.fanout import Chunk
from chimeway.feedback_processing import process
from chimeway.models import Orchestration
from chimeway.planning import delivering_here
from chimeway.redriving import OWN_TIME, due_deliveries
from chimeway.tables import deliveries, digest_buckets, fanouts, feedback, signals
from jobs.errors import StorageError

logger = logging.getLogger("chimeway")

#: Rows that are looked up at once.
BATCH = 200

_Row = TypeVar("_Row")
T_co = TypeVar("T_co", covariant=True)


class _Find(Protocol[T_co]):
    """Finds so many rows that have work to be done."""

    def __call__(self, connection: Connection, *, limit: int) -> Sequence[T_co]: ...


class _Do(Protocol):
    """Does the work of one row."""

    def __call__(self, connection: Connection, row_id: str, now: datetime, /) -> Any: ...


@contextmanager
def apart(which: str) -> Iterator[None]:
    """Let a part of a round fail alone: it is told, and the next round comes back to it. A database that fails ends the round.

    Args:
        which: The part, or the row, by its id.

    Yields:
        Nothing.

    Raises:
        StorageError: The database failed.
    """
    try:
        yield
    except StorageError:
        raise
    except Exception as error:  # noqa: BLE001 - one row's fault must not keep all others from going on
        # What others say may hold somebody's words.
        why = error if isinstance(error, ConfigError) else type(error).__name__
        logger.warning("sweep: %s failed: %s; the next round does it again", which, why)


def sweep_here(now: datetime) -> dict[str, int]:
    """Do a round; give how much of each kind was done. What fails does not keep the rest from being done.

    Args:
        now: The time.

    Raises:
        ConfigError: The jobs cannot be used as configured.
        StorageError: The database failed; what was done by then stays so.
    """
    old = now - timedelta(seconds=OWN_TIME)
    unflushed = digest_buckets.c.flushed_at.is_(None) & (digest_buckets.c.due_at <= now)
    return {
        "chunks": _deliver_all("chunks", _chunks),
        "signals": _each(
            "signal", partial(_ids, table=signals, which=signals.c.processed_at.is_(None)), route_signal, now
        ),
        "feedback": _each(
            "feedback", partial(_ids, table=feedback, which=feedback.c.processed_at.is_(None)), process, now
        ),
        "waits": _each("workflow run", partial(due_runs, now=now), progress_run, now),
        "stalled": _each("workflow run", partial(stalled_runs, before=old), progress_run, now),
        "digests": _each("digest", partial(_ids, table=digest_buckets, which=unflushed), flush, now),
        "deliveries": _deliver_all("deliveries", partial(_due, now=now)),
    }


def _each(kind: str, find: _Find[str], do: _Do, now: datetime) -> int:
    """Do something for each row that is found, in a transaction of its own, and deliver what it plans."""
    count = 0
    seen: set[str] = set()
    with apart(f"looking for each {kind}"):
        while fresh := _more(find, seen):
            for row_id in fresh:
                with apart(f"{kind} {row_id}"):
                    with delivering_here() as planned:
                        store.write(do, row_id, now)
                    deliver_here(planned)
                    count += 1
            seen.update(fresh)
    return count


def _deliver_all(kind: str, find: _Find[Work]) -> int:
    seen: set[Work] = set()
    with apart(f"looking for {kind}"):
        while fresh := _more(find, seen):
            # What fails is told there.
            deliver_here(fresh)
            seen.update(fresh)
    return len(seen)


def _more(find: _Find[_Row], seen: set[_Row]) -> list[_Row]:
    """Find rows that were not seen before. Those that are still there after their turn do not hide the ones behind them."""
    return [one for one in store.read(find, limit=BATCH + len(seen)) if one not in seen]


def _ids(connection: Connection, *, table: Table, which: ColumnElement[bool], limit: int) -> list[str]:
    return list(connection.scalars(select(table.c.id).where(which).limit(limit)))


def _due(connection: Connection, *, now: datetime, limit: int) -> list[Work]:
    # A young one is being delivered by the process that has triggered it.
    young = (deliveries.c.status == "pending") & (
        deliveries.c.updated_at >= now - timedelta(seconds=OWN_TIME)
    )
    ripe = or_(~young, deliveries.c.orchestration_state == Orchestration.DEFERRED.value)
    writing = deliveries.c.orchestration_state == Orchestration.CONTENT_PENDING.value
    query = select(deliveries.c.id).where(due_deliveries(now), ripe, ~writing).limit(limit)
    return list(connection.scalars(query))


def _chunks(connection: Connection, *, limit: int) -> list[Work]:
    query = select(fanouts.c.event_id, fanouts.c.chunk).where(fanouts.c.planned_at.is_(None)).limit(limit)
    return [Chunk(event_id, number) for event_id, number in connection.execute(query)]
