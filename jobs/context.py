"""`current`: what the running actor may know of its job."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any


async def _nowhere(_: Mapping[str, Any]) -> None:
    """Take progress that no row waits for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobContext:
    """The running job, as its actor sees it."""

    #: The job's id: the idempotency key for what the actor does elsewhere. Empty outside a job.
    id: str = ""
    #: The attempt's number, from 1; 0 outside a job.
    attempt: int = 0
    #: The cassette that the calls of the job use without naming it; None for none.
    cassette: str | None = None
    #: The row's metadata when the attempt began, with the progress of earlier attempts.
    metadata: Mapping[str, Any] = field(default_factory=dict)
    report: Callable[[Mapping[str, Any]], Awaitable[None]] = field(default=_nowhere, repr=False)

    async def progress(self, **metadata: Any) -> None:
        """Merge values into the row's metadata and tell the followers. They are kept across attempts.

        Args:
            metadata: JSON values.

        Raises:
            ConfigError: A value is not JSON.
            JobsError: The attempt no longer holds the job.
            StorageError: The database failed.
        """
        await self.report(metadata)


_OUTSIDE = JobContext()
_CURRENT: ContextVar[JobContext] = ContextVar("aquila_current_job", default=_OUTSIDE)


def current() -> JobContext:
    """Give the running job; outside a job one without an id whose progress goes nowhere, so that actors can be called."""
    return _CURRENT.get()


@contextmanager
def running(context: JobContext) -> Iterator[None]:
    """Let `current` give `context` inside the block, child tasks and threads included."""
    token = _CURRENT.set(context)
    try:
        yield
    finally:
        _CURRENT.reset(token)
