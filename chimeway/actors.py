"""The actors: each brings an id to where its work is done. A worker has them when a module of its imports chimeway."""

from __future__ import annotations

import logging
from datetime import datetime

import jobs
from chimeway import carriers, digesting, feedback_processing, store
from chimeway.dispatch.claiming import NotClaimed
from chimeway.dispatch.performing import perform
from chimeway.engine.progress import progress_run
from chimeway.engine.router import route_signal as route
from chimeway.fanout import Chunk, plan_chunk
from chimeway.settings import DEFAULT_PROGRESSION, PROGRESSION, settings
from chimeway.sweeping import sweep_to_jobs
from chimeway.writing import writer as writing
from jobs.threads import in_thread

logger = logging.getLogger("chimeway")

for _name, _limit in carriers.QUEUES.items():
    jobs.declare_queue(_name, limit=_limit)


@jobs.actor(actor_name="chimeway.deliver", queue_name=carriers.DELIVERY, max_attempts=1)
async def deliver(delivery_id: str) -> None:
    """Make one attempt of a delivery; if it may not go out yet, come back when it may.

    Raises:
        Snooze: It is too early.
    """
    done = await perform(delivery_id)
    if isinstance(done, NotClaimed) and done.again_at is not None:
        raise jobs.Snooze(_seconds_until(done.again_at), f"delivery {delivery_id}: {done.reason}")


@jobs.actor(actor_name="chimeway.plan", queue_name=carriers.DELIVERY, max_attempts=1)
async def plan(event_id: str, chunk: int) -> None:
    """Plan some recipients of an event of many."""
    await in_thread(plan_chunk, Chunk(event_id, chunk), settings().clock.now())


@jobs.actor(actor_name="chimeway.route_signal", queue_name=carriers.SIGNALS, max_attempts=1)
async def route_signal(signal_id: str) -> None:
    """The SignalRouterWorker: bring a signal to the runs that wait for it."""
    await store.awrite(route, signal_id, settings().clock.now())


@jobs.actor(actor_name="chimeway.progress", queue_name=carriers.WORKFLOWS, max_attempts=1)
async def progress(run_id: str) -> None:
    """Move a run on whose wait gate has opened."""
    await store.awrite(progress_run, run_id, settings().clock.now())


@jobs.actor(actor_name="chimeway.process_feedback", queue_name=carriers.SIGNALS, max_attempts=1)
async def process_feedback(feedback_id: str) -> None:
    """Take in what a provider said of a delivery."""
    await feedback_processing.process_feedback(feedback_id)


@jobs.actor(actor_name="chimeway.flush_digest", queue_name=carriers.DELIVERY, max_attempts=1)
async def flush_digest(bucket_id: str) -> None:
    """Send a digest that is due."""
    await digesting.flush_digest(bucket_id)


@jobs.actor(actor_name="chimeway.write", queue_name=carriers.LLM, max_attempts=carriers.LLM_ATTEMPTS)
async def write(run_id: str, step_key: str) -> None:
    """Ask a model for the text of a workflow's step."""
    await writing.write(run_id, step_key)


@jobs.actor(actor_name="chimeway.write_content", queue_name=carriers.LLM, max_attempts=carriers.LLM_ATTEMPTS)
async def write_content(delivery_id: str) -> None:
    """Ask a model for the text of a delivery."""
    await writing.write_content(delivery_id)


@jobs.cron(DEFAULT_PROGRESSION, name=PROGRESSION)
@jobs.actor(actor_name="chimeway.sweep", queue_name=carriers.WORKFLOWS, max_attempts=1)
async def sweep() -> None:
    """The ProgressionWorker: find waits that are over, and what a crash or an emptied Redis left behind."""
    swept = await in_thread(sweep_to_jobs)
    if swept.total:
        logger.info("taken up: %s", swept)


def _seconds_until(moment: datetime) -> float:
    return max(0.0, (moment - settings().clock.now()).total_seconds())
