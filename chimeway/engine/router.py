"""The router: brings a signal to the runs that listen to it, once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, or_, select, update

from chimeway.engine.definitions import load_definition
from chimeway.engine.progress import listens_at_all, progress_run
from chimeway.errors import NotificationNotFound, NotifierInvalid
from chimeway.models import RunState, Signal, WorkflowRun
from chimeway.rows import as_record
from chimeway.tables import runs, signals

_OPEN = (RunState.ACTIVE.value, RunState.WAITING.value)


def route_signal(connection: Connection, signal_id: str, now: datetime) -> dict[str, str] | None:
    """Bring a signal to the runs that listen to it; give what came of it by run, None if that was done before.

    Args:
        connection: A transaction that writes.
        signal_id: The signal.
        now: The time.
    """
    query = (
        select(signals).where(signals.c.id == signal_id, signals.c.processed_at.is_(None)).with_for_update()
    )
    row = connection.execute(query).mappings().first()
    if row is None:
        return None
    signal = as_record(Signal, row)
    # In the order of their ids, so that two signals of one person do not wait for each other.
    found = {
        run.run_id: progress_run(connection, run.run_id, now, signal=signal).reason
        for run in _candidates(connection, signal)
    }
    mine = (signals.c.id == signal_id, signals.c.processed_at.is_(None))
    connection.execute(update(signals).where(*mine).values(processed_at=now, result={"runs": found}))
    return found


def _candidates(connection: Connection, signal: Signal) -> list[WorkflowRun]:
    """Give the runs that may listen, also those that do not wait yet: one may begin to at this moment.

    They are found by their recipient and not by their wait, which another transaction may be about to store: that one is
    waited for when the run is locked.
    """
    about = _about(signal.payload)
    theirs = (runs.c.tenant_id == signal.tenant_id, runs.c.recipient_identity == signal.actor_id)
    query = select(runs).where(*theirs, or_(runs.c.state.in_(_OPEN), *about)).order_by(runs.c.id)
    found = (as_record(WorkflowRun, row) for row in connection.execute(query).mappings())
    return [run for run in found if _may_listen(connection, run, signal)]


def _about(payload: Mapping[str, Any]) -> list[Any]:
    """Of a run that has ended it is worth a note only if the signal names it."""
    named = (
        (runs.c.notification_id, "notification_id"),
        (runs.c.id, "run_id"),
        (runs.c.event_id, "event_id"),
    )
    return [column == payload[name] for column, name in named if isinstance(payload.get(name), str)]


def _may_listen(connection: Connection, run: WorkflowRun, signal: Signal) -> bool:
    try:
        definition = load_definition(connection, run.definition_id)
    except (NotifierInvalid, NotificationNotFound):
        # It says so itself.
        return True
    if definition.needs_params:
        names = {match.event_name for step in definition.steps for match in step.listens}
        return signal.event_name in names
    return listens_at_all(definition, run, {}, signal)
