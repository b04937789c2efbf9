"""Runs a coroutine function to its end for a caller who cannot wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, copy_context
from typing import Any, TypeVar

T = TypeVar("T")


def run_blocking(work: Callable[[], Coroutine[Any, Any, T]], context: Context | None = None) -> T:
    """Run `work` on an event loop of its own: here, or in a thread if a loop runs here already, which then stands still.

    Args:
        work: What is to be run.
        context: The context it runs in; None means a copy of the caller's.
    """
    around = copy_context() if context is None else context

    def run() -> T:
        return asyncio.run(work())

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return around.run(run)
    with ThreadPoolExecutor(1, thread_name_prefix="aquila-testing") as threads:
        return threads.submit(around.run, run).result()
