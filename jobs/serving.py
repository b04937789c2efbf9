"""`serve`: a worker as a process of its own, which signals stop."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import anyio

from jobs.policy import leaf
from jobs.processes import parent_is_gone
from jobs.worker import Worker


async def serve(worker: Worker) -> None:
    """Run a worker until SIGTERM or SIGINT, or its parent's end; the second signal takes the grace period away.

    Raises:
        ConfigError: The jobs cannot be used as configured.
        StorageError: The database cannot be reached at the start.
        BrokerUnavailable: Redis does not answer at the start.
    """
    worker.owns_process = True
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:

        async def stop_on_signal() -> None:
            async for _ in signals:
                worker.stop()

        async def stop_with_parent() -> None:
            await parent_is_gone()
            worker.stop()

        with _unwrapped():
            async with anyio.create_task_group() as group:
                group.start_soon(stop_on_signal)
                group.start_soon(stop_with_parent)
                await worker.run()
                group.cancel_scope.cancel()


@contextmanager
def _unwrapped() -> Iterator[None]:
    """Raise the one error of a task group without the group, so that it can be told in one line."""
    try:
        yield
    except BaseExceptionGroup as group:
        cause = leaf(group)
        if cause is group:
            raise
        raise cause from group
