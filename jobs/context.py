"""`current`: what the running actor may know of its job."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import uuid4

from jobs.step import check_step_name, step_value
from jobs.sync_context import SyncJobContext, check_awaitable


async def _nowhere(_: Mapping[str, Any]) -> None:
    """Take progress that no row waits for."""


async def _each_time(name: str, run: Callable[[], Any]) -> Any:
    """Run a step that no row remembers."""
    check_step_name(name)
    return await step_value(name, run)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobContext:
    """The running job, as its actor sees it."""

    #: The job's id: the idempotency key for what the actor does elsewhere. Empty outside a job.
    id: str = ""
    #: The actor's and the queue's name. Empty outside a job.
    actor_name: str = ""
    queue_name: str = ""
    #: The attempt's number, from 1; 0 outside a job.
    attempt: int = 0
    #: The cassette that the calls of the job use without naming it; None for none.
    cassette: str | None = None
    #: The row's metadata when the attempt began, with the progress of earlier attempts.
    metadata: Mapping[str, Any] = field(default_factory=dict)
    report: Callable[[Mapping[str, Any]], Awaitable[None]] = field(default=_nowhere, repr=False)
    #: Runs a step of a name, or gives what an earlier attempt has recorded of it.
    once: Callable[[str, Callable[[], Any]], Awaitable[Any]] = field(default=_each_time, repr=False)

    @property
    def sync(self) -> SyncJobContext:
        """The same for plain functions, which cannot await: `job.sync.step(...)`, `job.sync.progress(...)`."""
        return SyncJobContext(self.report, self.once, in_job=bool(self.id))

    def progress(self, **metadata: Any) -> Awaitable[None]:
        """Merge values into the row's metadata and tell the followers. They are kept across attempts.

        Args:
            metadata: JSON values.

        Raises:
            ConfigError: A value is not JSON, or nobody can await here: see `sync`.
            JobsError: The attempt no longer holds the job.
            StorageError: The database failed.
        """
        check_awaitable("progress")
        return self.report(metadata)

    def step(self, name: str, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Awaitable[Any]:
        """Call a function once for the job, however many attempts it takes, and give what it returned, as JSON values.

        What an earlier attempt has recorded under the name is given back, and the function is not called. What it raises is
        not recorded. A crash between the function's effect and the record calls it again: give `step_key` to whatever it
        asks elsewhere. A plain function runs in a thread. Outside a job the function is called each time.

        Args:
            name: The step's name, once in each attempt: several of a kind are told apart by it, `charge:42`.
            function: What to call, async or plain.
            args: What to call it with.
            kwargs: What else to call it with.

        Raises:
            ConfigError: The name cannot be used or was used before, or what was returned is neither JSON nor a pydantic
                model, or too long; or nobody can await here: see `sync`.
            JobsError: A newer attempt has the job, so the step is not recorded.
        """
        check_awaitable("step")
        return self.once(name, partial(function, *args, **kwargs))

    def step_key(self, name: str) -> str:
        """Give the idempotency key of a step for what it asks elsewhere: the same in every attempt.

        Outside a job each call gives another one.

        Args:
            name: The step's name.
        """
        return f"{self.id or uuid4().hex}:{name}"


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
