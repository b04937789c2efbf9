"""Workflows as they are stored: once for each key and version, never changed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select

from chimeway.errors import NotificationNotFound, WorkflowConflict
from chimeway.tables import definitions
from chimeway.workflow.definition import Workflow
from jobs.rows import new_id
from jobs.sqltypes import insert_into

#: Workflows that this process has read, by their ids: they never change. The oldest goes when there are too many.
_READ: dict[str, Workflow] = {}
_MOST_READ = 256


def store_definition(connection: Connection, workflow: Workflow, now: datetime) -> str:
    """Store a workflow, if this version of it is not there yet; give its id.

    Args:
        connection: A transaction that writes.
        workflow: To be stored.
        now: The time.

    Raises:
        WorkflowConflict: The version is stored with other steps.
    """
    steps = workflow.to_json()["steps"]
    found = _find(connection, workflow)
    if found is None:
        values = {"id": new_id(), "workflow_key": workflow.key, "workflow_version": workflow.version}
        added = insert_into(connection, definitions).values(**values, steps=steps, created_at=now)
        # Somebody else may be storing it: then theirs is waited for, and read.
        connection.execute(added.on_conflict_do_nothing())
        found = _find(connection, workflow)
    if found is None or found.steps != steps:
        raise WorkflowConflict(
            f"workflow {workflow.key!r} is stored in version {workflow.version} with other steps, by which its runs go; "
            f"write version={workflow.version + 1} for the new ones"
        )
    return str(found.id)


def load_definition(connection: Connection, definition_id: str) -> Workflow:
    """Read a workflow.

    Raises:
        NotificationNotFound: There is none of that id.
        NotifierInvalid: It has something that this version does not know.
    """
    known = _READ.get(definition_id)
    if known is not None:
        return known
    row = connection.execute(select(definitions).where(definitions.c.id == definition_id)).first()
    if row is None:
        raise NotificationNotFound(f"no workflow definition {definition_id!r} in this database")
    values = {"key": row.workflow_key, "version": row.workflow_version, "steps": row.steps}
    read = Workflow.from_json(values)
    if len(_READ) >= _MOST_READ:
        # Another thread may have done so in between.
        _READ.pop(next(iter(tuple(_READ))), None)
    _READ[definition_id] = read
    return read


def _find(connection: Connection, workflow: Workflow) -> Row[Any, Any] | None:
    same = (definitions.c.workflow_key == workflow.key, definitions.c.workflow_version == workflow.version)
    return connection.execute(select(definitions.c.id, definitions.c.steps).where(*same)).first()
