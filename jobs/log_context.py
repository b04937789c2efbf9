"""Which job a log record belongs to: `JobFilter`, for this worker's logging or a host's own."""

from __future__ import annotations

import logging
from typing import Any

from jobs.context import current
from jobs.tracing import trace_ids

#: What the filter adds to a record, with the values it has outside a job.
JOB_FIELDS: dict[str, Any] = {"job_id": "", "actor_name": "", "queue_name": "", "attempt": 0}
#: What it adds in a trace.
TRACE_FIELDS = ("trace_id", "span_id")


class JobFilter(logging.Filter):
    """Adds the running job's `job_id`, `actor_name`, `queue_name` and `attempt` to every record that a handler gets.

    Outside a job they are empty, and 0. In a trace of OpenTelemetry's there are `trace_id` and `span_id` as well, else these are
    empty. What a record brings along by `extra=` is left as it is. Put it on a handler: a logger's filters do not see what
    the loggers below it say. With a `QueueHandler`, put it there, because its listener runs outside every job.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the fields; no record is dropped."""
        job = current()
        ids = trace_ids() or ("", "")
        for name in JOB_FIELDS:
            record.__dict__.setdefault(name, job.id if name == "job_id" else getattr(job, name))
        for name, value in zip(TRACE_FIELDS, ids, strict=True):
            record.__dict__.setdefault(name, value)
        return True
