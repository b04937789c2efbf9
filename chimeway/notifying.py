"""Adds the notifications of an event, and plans their first deliveries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from chimeway.engine.starting import start_runs
from chimeway.models import Delivery, Event, Notification, WorkflowRun
from chimeway.planning import PlanOptions, Wanted, plan_deliveries
from chimeway.rendering import Rendered
from chimeway.rows import as_record, in_parts
from chimeway.tables import deliveries, notifications
from chimeway.workflow import Workflow
from jobs.rows import new_id
from jobs.sqltypes import insert_into


@dataclass(frozen=True, slots=True, kw_only=True)
class Notified:
    """Recipients that are to be told of an event."""

    event: Event
    rendered: Sequence[Rendered]
    channels: Sequence[str]
    options: PlanOptions
    workflow: Workflow | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What was added for the recipients of an event, in their order."""

    notifications: Sequence[Notification] = ()
    deliveries: Sequence[Delivery] = ()
    runs: Sequence[WorkflowRun] = ()


def add_notifications(connection: Connection, said: Notified, now: datetime) -> Told:
    """Add a notification for each recipient, and plan each channel's delivery, or only the workflow's first step."""
    if not said.rendered:
        return Told()
    added = [_notification(said.event, one, now) for one in said.rendered]
    rows = [_row(one) for one in added]
    connection.execute(insert_into(connection, notifications).on_conflict_do_nothing(), rows)
    if said.workflow is None:
        wanted = [
            Wanted(
                notification=one,
                channel=channel,
                category=said.event.category,
                options=said.options,
                payload=said.event.payload,
            )
            for one in added
            for channel in said.channels
        ]
        return Told(notifications=added, deliveries=plan_deliveries(connection, wanted, now))
    started = start_runs(
        connection,
        event=said.event,
        notifications=added,
        workflow=said.workflow,
        now=now,
    )
    return Told(notifications=added, deliveries=_planned(connection, added), runs=started)


def _notification(event: Event, rendered: Rendered, now: datetime) -> Notification:
    return Notification(
        notification_id=new_id(),
        event_id=event.event_id,
        tenant_id=event.tenant_id,
        notification_key=event.notification_key,
        recipient_identity=rendered.recipient.identity,
        recipient_type=rendered.recipient.recipient_type,
        addresses=dict(rendered.recipient.addresses),
        contents=rendered.contents,
        created_at=now,
    )


def _row(one: Notification) -> dict[str, object]:
    names = (
        "event_id",
        "tenant_id",
        "notification_key",
        "recipient_identity",
        "recipient_type",
        "addresses",
        "contents",
    )
    return {
        "id": one.notification_id,
        "created_at": one.created_at,
        **{name: getattr(one, name) for name in names},
    }


def _planned(connection: Connection, added: Sequence[Notification]) -> list[Delivery]:
    found: list[Delivery] = []
    for ids in in_parts(one.notification_id for one in added):
        query = (
            select(deliveries).where(deliveries.c.notification_id.in_(ids)).order_by(deliveries.c.created_at)
        )
        found += [as_record(Delivery, row) for row in connection.execute(query).mappings()]
    place = {one.notification_id: number for number, one in enumerate(added)}
    return sorted(found, key=lambda one: place[one.notification_id])
