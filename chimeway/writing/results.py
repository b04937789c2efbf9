"""What came of asking a model, stored once, together with what follows from it."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, update

from chimeway.delivery_content import declared_content
from chimeway.dispatch.outcome import conclude
from chimeway.engine.progress import progress_run
from chimeway.models import Delivery, Orchestration, Outcome
from chimeway.planning import hand_to_carrier
from chimeway.rows import find_delivery, find_notification
from chimeway.tables import deliveries, step_outputs
from chimeway.workflow.steps import FAILED, WRITTEN
from chimeway.writing.tasks import PENDING, waits_for_text
from jobs.sqltypes import storable

logger = logging.getLogger("chimeway")

#: Why a delivery is cancelled whose text nobody wrote.
CONTENT_FAILED = "content_failed"


def keep_step(connection: Connection, text: str, now: datetime, *, run_id: str, step_key: str) -> bool:
    """Store what a model wrote for a step, and move the run on; False if somebody else has done so.

    The text of a run that has ended meanwhile is kept.

    Args:
        connection: A transaction that writes.
        text: What was written.
        now: The time.
        run_id: The run.
        step_key: The step.
    """
    return _end_step(connection, run_id, step_key, now, state=WRITTEN, output=text)


def fail_step(connection: Connection, error: str, now: datetime, *, run_id: str, step_key: str) -> bool:
    """Store that no text came for a step, and move the run on by its rules; False if somebody else has done so.

    Args:
        connection: A transaction that writes.
        error: Why, in words.
        now: The time.
        run_id: The run.
        step_key: The step.
    """
    return _end_step(connection, run_id, step_key, now, state=FAILED, error=error)


def keep_content(connection: Connection, text: str, now: datetime, *, delivery_id: str) -> bool:
    """Store what a model wrote for a delivery, and let it go out; False if it does not wait for it any more.

    Args:
        connection: A transaction that writes.
        text: What was written.
        now: The time.
        delivery_id: The delivery.
    """
    delivery = find_delivery(connection, delivery_id)
    return delivery is not None and _let_go(connection, delivery, now, written=text)


def fail_content(connection: Connection, error: str, now: datetime, *, delivery_id: str) -> bool:
    """Let a delivery go out with the text that it has beside its prompt, else cancel it, and move its run on.

    Args:
        connection: A transaction that writes.
        error: Why no text was written, in words.
        now: The time.
        delivery_id: The delivery.

    Returns:
        False if the delivery does not wait for it any more.
    """
    delivery = find_delivery(connection, delivery_id)
    if delivery is None or not waits_for_text(delivery):
        return False
    about = find_notification(connection, delivery.notification_id)
    content = declared_content(about.contents if about else {}, delivery.step_key, delivery.channel)
    if content.text or content.html or content.text_from:
        logger.warning("delivery %s goes out with the text it has: no other was written", delivery_id)
        return _let_go(connection, delivery, now)
    return conclude(
        connection,
        delivery,
        Outcome.PERMANENT_FAILURE,
        now,
        reason=CONTENT_FAILED,
        where=PENDING,
        error=storable(error),
    )


def _end_step(connection: Connection, run_id: str, step_key: str, now: datetime, **values: Any) -> bool:
    mine = (step_outputs.c.run_id == run_id, step_outputs.c.step_key == step_key)
    ending = update(step_outputs).where(*mine, step_outputs.c.state == "pending")
    if connection.execute(ending.values(**values, ended_at=now)).rowcount != 1:
        return False
    progress_run(connection, run_id, now)
    return True


def _let_go(connection: Connection, delivery: Delivery, now: datetime, **values: Any) -> bool:
    changed = connection.execute(
        update(deliveries)
        .where(deliveries.c.id == delivery.delivery_id, *PENDING)
        .values(
            orchestration_state=Orchestration.READY.value,
            reason=None,
            reason_context=None,
            updated_at=now,
            **values,
        )
    )
    if changed.rowcount != 1:
        return False
    # The policy is looked at again when it is claimed.
    hand_to_carrier(connection, delivery, at=None)
    return True
