"""LLM steps and texts of deliveries: a model is asked within a job, so that its words can be followed live.

No transaction is open while it answers. What it wrote is stored exactly once, and moves its run or its delivery on in the
same transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial

from sqlalchemy import Connection

import jobs
from chimeway import store
from chimeway.carriers import LLM_ATTEMPTS
from chimeway.errors import ChimewayError, NotifierInvalid
from chimeway.settings import settings
from chimeway.writing.results import fail_content, fail_step, keep_content, keep_step
from chimeway.writing.tasks import WritingTask, content_task, step_task
from jobs.credentials import redacted
from jobs.policy import GiveUp, decide, leaf, words

#: Characters of an error that a row keeps.
ERROR_LENGTH = 1000


async def write(run_id: str, step_key: str) -> None:
    """Ask a model for the text of a workflow's step, and move the run on.

    Args:
        run_id: The run.
        step_key: An `Ask` or a `Summarise` of its workflow.

    Raises:
        AquilaError: The model gave no text. After the last attempt the step has failed, and the run goes on by its rules.
        StorageError: The database failed.
    """
    task = await store.awrite(step_task, run_id, step_key, settings().clock.now())
    if task is not None:
        keep = partial(keep_step, run_id=run_id, step_key=step_key)
        await _write(task, keep, partial(fail_step, run_id=run_id, step_key=step_key))


async def write_content(delivery_id: str) -> None:
    """Ask a model for the text of a delivery, and let it go out.

    Args:
        delivery_id: The delivery.

    Raises:
        AquilaError: The model gave no text. After the last attempt the delivery goes out with the text that it has beside its
            prompt, or is cancelled if there is none.
        StorageError: The database failed.
    """
    task = await store.awrite(content_task, delivery_id, settings().clock.now())
    if task is not None:
        keep = partial(keep_content, delivery_id=delivery_id)
        await _write(task, keep, partial(fail_content, delivery_id=delivery_id))


async def _write(
    task: WritingTask,
    keep: Callable[[Connection, str, datetime], bool],
    fail: Callable[[Connection, str, datetime], bool],
) -> None:
    try:
        text = await _ask(task)
    except Exception as error:
        now = settings().clock.now()
        if _is_last(error, (now - task.since).total_seconds()):
            await store.awrite(fail, _said(error), now)
        raise
    await store.awrite(keep, text, settings().clock.now())


async def _ask(task: WritingTask) -> str:
    if not task.source.strip():
        raise NotifierInvalid(f"{task.where} has neither a prompt nor a text; give its Content one")
    if task.summarises:
        text = await jobs.generate_summary(task.source, model=task.model, instructions=task.instructions)
    else:
        text = await jobs.stream_prompt(task.source, task.model, instructions=task.instructions)
    if not text.strip():
        raise ChimewayError(f"the model wrote nothing for {task.where}")
    return text


def _is_last(error: Exception, age: float) -> bool:
    """Say whether the job is not run again after this, as its own policy decides."""
    verdict = decide(
        error,
        attempt=jobs.current().attempt,
        max_attempts=LLM_ATTEMPTS,
        backoff=1.0,
        jitter=0.0,
        age=age,
    )
    return isinstance(verdict, GiveUp)


def _said(error: Exception) -> str:
    cause = leaf(error)
    return redacted(f"{type(cause).__name__}: {words(cause)}")[:ERROR_LENGTH]
