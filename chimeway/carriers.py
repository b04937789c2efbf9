"""Carriers: the jobs that bring a row to where its work is done. They hold its id and nothing else.

State and retries are the row's own, so a carrier has one attempt; what one that is lost has left undone, the sweep gives to
another.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from jobs.cassettes import cassette_of_send
from jobs.new_job import NewJob
from jobs.rows import new_id
from jobs.tracing import trace_carrier

#: Queues, and how many of their jobs one worker process runs at once.
QUEUES = {"chimeway_delivery": 20, "chimeway_signals": 10, "chimeway_workflows": 5}
DELIVERY, SIGNALS, WORKFLOWS = QUEUES
LLM = "llm"
#: How the names of their actors begin.
PREFIX = "chimeway."
#: Attempts of a job that asks a model; `jobs` itself repeats those.
LLM_ATTEMPTS = 5


def deliver(delivery_id: str, *, at: datetime | None = None) -> NewJob:
    """Make the job that delivers, now or at a time."""
    return _carrier("deliver", DELIVERY, delivery_id, at=at)


def plan(event_id: str, chunk: int) -> NewJob:
    """Make the job that plans some recipients of an event of many."""
    return _carrier("plan", DELIVERY, event_id, chunk)


def flush_digest(bucket_id: str, *, at: datetime | None = None) -> NewJob:
    """Make the job that sends a digest."""
    return _carrier("flush_digest", DELIVERY, bucket_id, at=at)


def route_signal(signal_id: str) -> NewJob:
    """Make the job that brings a signal to the runs that wait for it."""
    return _carrier("route_signal", SIGNALS, signal_id)


def process_feedback(feedback_id: str) -> NewJob:
    """Make the job that takes in what a provider said."""
    return _carrier("process_feedback", SIGNALS, feedback_id)


def progress(run_id: str, *, at: datetime | None = None) -> NewJob:
    """Make the job that moves a run on, now or at a time."""
    return _carrier("progress", WORKFLOWS, run_id, at=at)


def write(run_id: str, step_key: str) -> NewJob:
    """Make the job that asks a model for the text of a workflow's step."""
    return _carrier("write", LLM, run_id, step_key, attempts=LLM_ATTEMPTS)


def write_content(delivery_id: str) -> NewJob:
    """Make the job that asks a model for the text of a delivery."""
    return _carrier("write_content", LLM, delivery_id, attempts=LLM_ATTEMPTS)


def _carrier(name: str, queue: str, *args: Any, at: datetime | None = None, attempts: int = 1) -> NewJob:
    cassette = cassette_of_send(None, None)
    return NewJob(
        job_id=new_id(),
        actor_name=PREFIX + name,
        queue_name=queue,
        arguments={"args": list(args), "kwargs": {}},
        metadata={},
        priority=0,
        max_attempts=attempts,
        cassette=cassette.name,
        cassette_mode=cassette.mode,
        at=at,
        trace=trace_carrier(),
    )
