"""Actors of a queue with a limit for the fleet. A worker that imports this module has the limit of the environment."""

from __future__ import annotations

import os

import anyio

import jobs

if "FEW" in os.environ:
    jobs.configure(global_limits={"few": int(os.environ["FEW"])})


class Watch:
    """How many jobs run at once in this process, and how many did at most."""

    def __init__(self) -> None:
        self.now = 0
        self.most = 0

    def __enter__(self) -> None:
        self.now += 1
        self.most = max(self.most, self.now)

    def __exit__(self, *_: object) -> None:
        self.now -= 1


WATCH = Watch()


@jobs.actor(queue_name="few", max_attempts=3)
async def rest(seconds: float) -> int:
    with WATCH:
        await anyio.sleep(seconds)
    return jobs.current().attempt


@jobs.actor(queue_name="few", max_attempts=3)
async def stay(path: str) -> int:
    """Run until the file is removed."""
    with WATCH:
        mark = anyio.Path(path)
        while await mark.exists():  # noqa: ASYNC110 - it belongs to another process
            await anyio.sleep(0.01)
    return jobs.current().attempt
