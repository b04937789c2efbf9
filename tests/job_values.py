"""Jobs as values, for tests that need no database."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from jobs import rows
from jobs.new_job import NewJob
from jobs.rows import Job

DUE = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)


def new_job(**facts: Any) -> NewJob:
    plain: dict[str, Any] = {"actor_name": "explain", "queue_name": "llm", "arguments": {}, "metadata": {}}
    more = {"priority": 0, "max_attempts": 2, "cassette": None}
    return NewJob(job_id=rows.new_id(), **{**plain, **more, **facts})


def running_job(new: NewJob | None = None, **facts: Any) -> Job:
    made = new or new_job()
    names = Job.__dataclass_fields__
    known = {name: getattr(made, name) for name in NewJob.__dataclass_fields__ if name in names}
    states = {"state": "executing", "attempt": 1, "epoch": 1, "errors": []}
    times = dict.fromkeys(("scheduled_at", "created_at", "started_at"), DUE)
    return Job(**{**dict.fromkeys(names), **known, **states, **times, **facts})  # type: ignore[arg-type]
