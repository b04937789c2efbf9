"""A call of a host's own function: it may raise what it likes, and only our own cancellation goes through."""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import anyio

from jobs.threads import run_abandonable


@dataclass(frozen=True, slots=True)
class Raised:
    """What a function raised in the place of a value."""

    error: BaseException


async def guarded(function: Callable[[], Any], *, in_loop: bool = False) -> Any:
    """Give what a function gives, awaited if need be, or Raised.

    A SystemExit too is only how the call came out: it must not end the loop, nor leave an attempt without its record.

    Args:
        function: What to call. In a thread it goes on when this is cancelled.
        in_loop: Whether it is called in the event loop.
    """
    task = _task()
    before = _cancellations(task)
    try:
        given = function() if in_loop else await run_abandonable(lambda: _called(function))
        return await given if inspect.isawaitable(given) else given
    except BaseException as error:
        if _is_for_us(error, task, before):
            raise
        return Raised(error)


def _called(function: Callable[[], Any]) -> Any:
    try:
        return function()
    except BaseException as error:  # noqa: BLE001 - a StopIteration or SystemExit, say, cannot be raised through a future
        return Raised(error)


def _is_for_us(error: BaseException, task: asyncio.Task[Any] | None, before: int) -> bool:
    """Say whether somebody ends the task that waits; if not, the function raised it by itself."""
    if isinstance(error, GeneratorExit):
        # The event loop throws the task away, and nothing may be awaited any more.
        return task is None or _task() is not task
    if not isinstance(error, asyncio.CancelledError | anyio.get_cancelled_exc_class()):
        return False
    return anyio.current_effective_deadline() == -math.inf or _cancellations(task) > before


def _task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:
        # No event loop of asyncio's runs.
        return None


def _cancellations(task: asyncio.Task[Any] | None) -> int:
    """Say how often a task was asked to end without anyio's scopes."""
    return 0 if task is None else task.cancelling()
