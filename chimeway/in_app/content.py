"""What the in-app channel has told a recipient: the contents of many notifications with few statements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlalchemy import Connection, select

from chimeway.content import Content
from chimeway.delivery_content import declared_content
from chimeway.dispatch.outcome import IN_APP
from chimeway.models import Delivery, DeliveryStatus, Notification
from chimeway.rows import as_record, in_parts
from chimeway.tables import deliveries, step_outputs


def shown_contents(
    connection: Connection, many: Sequence[Notification]
) -> dict[str, tuple[Content, str | None]]:
    """Give what each notification says in the inbox, and its category, by its id.

    A workflow may have told it twice in the inbox; then the last time counts.

    Args:
        connection: A transaction.
        many: Notifications that were shown.
    """
    told = _told(connection, [one.notification_id for one in many])
    outputs = _outputs(connection, [one.run_id for one in told.values() if one.run_id is not None])
    return {one.notification_id: _content(one, told.get(one.notification_id), outputs) for one in many}


def _told(connection: Connection, notification_ids: Sequence[str]) -> dict[str, Delivery]:
    found: dict[str, Delivery] = {}
    for ids in in_parts(notification_ids):
        query = select(deliveries).where(
            deliveries.c.notification_id.in_(ids),
            deliveries.c.channel == IN_APP,
            deliveries.c.status == DeliveryStatus.SUCCEEDED.value,
        )
        ordered = query.order_by(deliveries.c.terminal_at, deliveries.c.created_at)
        for row in connection.execute(ordered).mappings():
            found[row["notification_id"]] = as_record(Delivery, row)
    return found


def _outputs(connection: Connection, run_ids: Sequence[str]) -> dict[tuple[str, str], str]:
    found: dict[tuple[str, str], str] = {}
    for ids in in_parts(run_ids):
        query = select(step_outputs.c.run_id, step_outputs.c.step_key, step_outputs.c.output)
        wanted = query.where(step_outputs.c.run_id.in_(ids), step_outputs.c.output.is_not(None))
        found |= {(run_id, key): str(output) for run_id, key, output in connection.execute(wanted)}
    return found


def _content(
    about: Notification, told: Delivery | None, outputs: Mapping[tuple[str, str], str]
) -> tuple[Content, str | None]:
    step_key = told.step_key if told else ""
    content = declared_content(about.contents, step_key, IN_APP)
    if told is None:
        return content, None
    written = told.written
    if written is None and content.text_from is not None and told.run_id is not None:
        written = outputs.get((told.run_id, content.text_from))
    return (content if written is None else replace(content, text=written)), told.category
