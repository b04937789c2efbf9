"""`jobs.current().sync`: progress and steps for plain functions, which run in a thread and cannot await."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import anyio
from anyio import from_thread

from aquila.errors import ConfigError


class SyncJobContext:
    """The running job, as a plain function may use it."""

    def __init__(
        self,
        report: Callable[[Mapping[str, Any]], Awaitable[None]],
        once: Callable[[str, Callable[[], Any]], Awaitable[Any]],
        *,
        in_job: bool,
    ) -> None:
        self._report = report
        # In a job the thread is one of a loop's; outside of any, nobody has a loop.
        self._run: Any = from_thread.run if in_job else anyio.run
        self._once = once

    def progress(self, **metadata: Any) -> None:
        """Do as `JobContext.progress` does.

        Raises:
            ConfigError: A value is not JSON, or an event loop runs in this thread.
            JobsError: The attempt no longer holds the job.
            StorageError: The database failed.
        """
        self._wait_for("progress", partial(self._report, metadata))

    def step(self, name: str, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Do as `JobContext.step` does.

        Raises:
            ConfigError: The name or the value cannot be used, or an event loop runs in this thread.
            JobsError: A newer attempt has the job, so the step is not recorded.
        """
        return self._wait_for("step", partial(self._once, name, partial(function, *args, **kwargs)))

    def _wait_for(self, what: str, call: Callable[[], Awaitable[Any]]) -> Any:
        if _loop_runs():
            raise ConfigError(f"an event loop runs here: use `await jobs.current().{what}(...)`")
        return self._run(call)


def check_awaitable(what: str) -> None:
    """Check that somebody can await here: in the thread of a plain function nobody does, and nothing would be done.

    Raises:
        ConfigError: No event loop runs in this thread.
    """
    if not _loop_runs():
        raise ConfigError(
            f"{what} is awaited, and a plain function cannot: use jobs.current().sync.{what}(...)"
        )


def _loop_runs() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
