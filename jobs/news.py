"""What a worker hears at once instead of at its next look.

`wake:QUEUE`: there may be a job to fetch. `pause:QUEUE` and `resume:QUEUE`: its row says something new. `cancel:JOB.EPOCH`: end that attempt of it.
A line may be lost or come twice: each is a reason to look at what is kept elsewhere, and nothing more.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import anyio
import redis

logger = logging.getLogger("jobs")

#: Seconds a read waits; below the client's own limit, so that silence is no failure.
READ_SECONDS = 5.0
#: Seconds until it listens again after Redis went away.
PAUSE = 1.0


async def listen(client: Any, channel: str, hear: Callable[[str], None]) -> None:
    """Call `hear` with each line that is published, until cancelled. Lines sent while Redis is away are lost.

    Args:
        client: An asynchronous Redis client.
        channel: The channel.
        hear: Takes one line; must not block.
    """
    while True:
        try:
            await _listen(client, channel, hear)
        except (redis.RedisError, OSError) as error:
            logger.warning("no news until Redis is back: %s", error)
        await anyio.sleep(PAUSE)


async def _listen(client: Any, channel: str, hear: Callable[[str], None]) -> None:
    async with client.pubsub(ignore_subscribe_messages=True) as pubsub:
        await pubsub.subscribe(channel)
        while True:
            message = await pubsub.get_message(timeout=READ_SECONDS)
            if message is not None:
                # Anybody may publish there; what is no text is no news.
                hear(message["data"].decode(errors="replace"))
