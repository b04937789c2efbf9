"""What a model is to be asked, read in one short transaction before it is asked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update

from chimeway.content import Content
from chimeway.delivery_content import declared_content, step_text
from chimeway.dispatch.outcome import conclude
from chimeway.engine.definitions import load_definition
from chimeway.models import Delivery, DeliveryStatus, Orchestration, Outcome, RunState, WorkflowRun
from chimeway.policy import Suppress
from chimeway.policy_store import decide_one
from chimeway.rows import find_delivery, find_run, get_notification
from chimeway.tables import deliveries, step_outputs
from chimeway.workflow.steps import FAILED, Summarise

OPEN = (RunState.ACTIVE, RunState.WAITING)
#: Why a delivery is never sent whatever time passes, so that no text is needed.
FOR_GOOD = frozenset({"channel_disabled", "category_disabled", "already_read", "cancelled_by_signal"})
RUN_ENDED = "the run had ended before it was written"
#: A delivery that waits for its text.
PENDING = (
    deliveries.c.status == DeliveryStatus.PENDING.value,
    deliveries.c.orchestration_state == Orchestration.CONTENT_PENDING.value,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WritingTask:
    """What a model is to be asked."""

    #: What it is for, by ids, for messages.
    where: str
    #: The prompt, or what is to be summarised.
    source: str
    instructions: str | None
    model: str | None
    summarises: bool
    #: Since when it has been waited for.
    since: datetime


def step_task(connection: Connection, run_id: str, step_key: str, now: datetime) -> WritingTask | None:
    """Give what a model is to be asked for a step; None if nobody waits for it any more.

    Args:
        connection: A transaction that writes.
        run_id: The run.
        step_key: The step.
        now: The time.

    Raises:
        NotificationNotFound: The run's notification or workflow is not there.
        NotifierInvalid: The workflow has something that this version does not know.
    """
    mine = (step_outputs.c.run_id == run_id, step_outputs.c.step_key == step_key)
    row = connection.execute(select(step_outputs).where(*mine)).mappings().first()
    if row is None or row["state"] != "pending":
        return None
    run = find_run(connection, run_id)
    if run is None or run.state not in OPEN:
        left = update(step_outputs).where(*mine, step_outputs.c.state == "pending")
        connection.execute(left.values(state=FAILED, error=RUN_ENDED, ended_at=now))
        return None
    return _of_a_step(connection, run, step_key, row["created_at"])


def content_task(connection: Connection, delivery_id: str, now: datetime) -> WritingTask | None:
    """Give what a model is to be asked for a delivery; None if it is not to go out any more.

    Args:
        connection: A transaction that writes.
        delivery_id: The delivery.
        now: The time.

    Raises:
        NotificationNotFound: Its notification is not there.
    """
    delivery = find_delivery(connection, delivery_id)
    if delivery is None or not waits_for_text(delivery):
        return None
    decision = decide_one(connection, delivery, now)
    if isinstance(decision, Suppress) and decision.reason in FOR_GOOD:
        facts: dict[str, Any] = {"reason": decision.reason, **decision.context}
        conclude(connection, delivery, Outcome.SUPPRESSED, now, where=PENDING, **facts)
        return None
    about = get_notification(connection, delivery.notification_id)
    content = declared_content(about.contents, delivery.step_key, delivery.channel)
    return _task(
        content,
        step_text(connection, delivery.run_id, content.text_from),
        where=f"delivery {delivery_id}",
        since=delivery.created_at,
    )


def waits_for_text(delivery: Delivery) -> bool:
    """Say whether a delivery waits for its text."""
    return (
        delivery.status is DeliveryStatus.PENDING
        and delivery.orchestration_state is Orchestration.CONTENT_PENDING
    )


def _of_a_step(connection: Connection, run: WorkflowRun, step_key: str, since: datetime) -> WritingTask:
    step = load_definition(connection, run.definition_id).find(step_key)
    contents = get_notification(connection, run.notification_id).contents
    content = Content.from_dict(contents.get(step_key) or {})
    return _task(
        content,
        step_text(connection, run.run_id, content.text_from),
        where=f"step {step_key!r} of workflow run {run.run_id}",
        since=since,
        summarises=isinstance(step, Summarise),
    )


def _task(
    content: Content, earlier: str | None, *, where: str, since: datetime, summarises: bool = False
) -> WritingTask:
    own = content.prompt if content.prompt is not None else content.text
    return WritingTask(
        where=where,
        # An earlier step's text is what the prompt speaks of.
        source="\n\n".join(part for part in (own, earlier) if part),
        instructions=content.instructions,
        model=content.model,
        summarises=summarises,
        since=since,
    )
