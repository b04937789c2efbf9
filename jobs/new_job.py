"""`NewJob`: a job that is to be added, as a value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A job that is to be added."""

    job_id: str
    actor_name: str
    queue_name: str
    arguments: Mapping[str, Any]
    metadata: Mapping[str, Any]
    priority: int
    max_attempts: int
    cassette: str | None
    #: The mode it is used in; None leaves that to the worker's environment.
    cassette_mode: str | None = None
    #: Seconds until it is due, from now.
    delay: float = 0.0
    #: When it is due, if not `delay` says it.
    at: datetime | None = None
    tags: Sequence[str] = ()
    #: No other job may have it at a time; see `jobs.unique`.
    unique_key: str | None = None
    #: Seconds for which the key is taken even if the job has ended.
    unique_seconds: float = 0.0
    #: Seconds that one attempt may take; None sets no limit.
    timeout: float | None = None
    #: What all attempts together may use: `tokens`, `cost` in US dollars.
    budget: Mapping[str, float] | None = None
    #: The sender's trace, as the W3C headers have it.
    trace: Mapping[str, str] | None = None

    def columns(self) -> dict[str, Any]:
        """Give what a new row has of it."""
        waits = self.delay > 0 or self.at is not None
        return {
            "id": self.job_id,
            "actor_name": self.actor_name,
            "queue_name": self.queue_name,
            "arguments": dict(self.arguments),
            "metadata": dict(self.metadata),
            "tags": list(self.tags),
            "priority": self.priority,
            "cassette": self.cassette,
            "cassette_mode": self.cassette_mode,
            "unique_key": self.unique_key,
            "timeout": self.timeout,
            "budget": dict(self.budget) if self.budget else None,
            "trace": dict(self.trace) if self.trace else None,
            "state": "scheduled" if waits else "available",
            "attempt": 0,
            "max_attempts": self.max_attempts,
            "epoch": 0,
            "errors": [],
        }
