"""Work that a second cancel must not break: httpx cleans up after the first one, and loses a connection to the next.

The work runs in a task of its own beside the caller, who never leaves before it has ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import anyio

T = TypeVar("T")


async def cancelled_once(
    work: Coroutine[Any, Any, T], undo: Callable[[T], Coroutine[Any, Any, None]] | None = None
) -> T:
    """Do something that hears of the caller's first cancel and of no other.

    Args:
        work: What to do.
        undo: Takes back a result that came too late for its caller; None when there is nothing to take back.

    Raises:
        CancelledError: The caller was cancelled.
        Exception: Whatever the work raises.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.cancel()
        await _join(task)
        if undo is not None and not task.cancelled() and task.exception() is None:
            await unbroken(undo(task.result()))
        raise


async def unbroken(work: Coroutine[Any, Any, T]) -> T:
    """Do something to its end, however often the caller is cancelled meanwhile.

    The cancel is raised afterwards, unless the work has failed: nobody else would hear of that.

    Raises:
        Exception: Whatever the work raises.
    """
    if not _is_asyncio():
        # Elsewhere all cancels come through scopes, and one that shields is enough.
        with anyio.CancelScope(shield=True):
            return await work
    task = asyncio.ensure_future(work)
    cancelled = await _join(task)
    if cancelled is not None and task.exception() is None:
        raise cancelled
    return task.result()


def _is_asyncio() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def _join(task: asyncio.Future[Any]) -> asyncio.CancelledError | None:
    cancelled: asyncio.CancelledError | None = None
    with anyio.CancelScope(shield=True):
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError as error:
                cancelled = error
    return cancelled
