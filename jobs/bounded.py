"""`for_each`: one piece of work for each item, so many at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import anyio

T = TypeVar("T")
R = TypeVar("R")


async def for_each(work: Callable[[T], Awaitable[R]], items: Sequence[T], *, at_once: int) -> list[R]:
    """Do the work for every item and give what came of it, in the order of the items.

    Once a piece has failed, no further one is begun. Those that run are let finish, because they are paid for.

    Args:
        work: What to do for one item.
        items: The items.
        at_once: How many are worked on at the same time.

    Raises:
        Exception: What the first piece that failed has raised.
    """
    done: dict[int, R] = {}
    failed: list[Exception] = []
    left = iter(enumerate(items))

    async def serve() -> None:
        for place, item in left:
            try:
                done[place] = await work(item)
            except Exception as error:  # noqa: BLE001 - raised below, when the others have finished
                failed.append(error)
            if failed:
                return

    async with anyio.create_task_group() as group:
        for _ in range(min(at_once, len(items))):
            group.start_soon(serve)
    if failed:
        raise failed[0]
    return [done[place] for place in range(len(items))]
