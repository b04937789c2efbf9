"""What a delivery says: its notification's words, and in them what a model has written and a person has approved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, select

from chimeway.content import Content
from chimeway.models import Delivery
from chimeway.tables import step_outputs


def declared_content(contents: Mapping[str, Any], step_key: str, channel: str) -> Content:
    """Give what a notification has for a step or, if that has nothing of its own, for its channel.

    Args:
        contents: By step key or channel, as JSON values.
        step_key: The step; empty outside a workflow.
        channel: The channel.
    """
    return Content.from_dict(contents.get(step_key) or contents.get(channel) or {})


def content_of(connection: Connection, delivery: Delivery, contents: Mapping[str, Any]) -> Content:
    """Give what a delivery says.

    Args:
        connection: A transaction.
        delivery: The delivery.
        contents: Those of its notification.
    """
    content = declared_content(contents, delivery.step_key, delivery.channel)
    if delivery.written is not None:
        return replace(content, text=delivery.written)
    output = step_text(connection, delivery.run_id, content.text_from)
    return content if output is None else replace(content, text=output)


def step_text(connection: Connection, run_id: str | None, step_key: str | None) -> str | None:
    """Give what a step of a run has written or approved; None if there is nothing.

    Args:
        connection: A transaction.
        run_id: The run; None outside a workflow.
        step_key: The step; None if no text comes from one.
    """
    if run_id is None or step_key is None:
        return None
    mine = (step_outputs.c.run_id == run_id, step_outputs.c.step_key == step_key)
    return connection.execute(select(step_outputs.c.output).where(*mine)).scalar()
