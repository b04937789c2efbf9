"""Clients of Redis: bounded pools, short time-outs, and errors that say what helps."""

from __future__ import annotations

from typing import Any, cast

import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

#: Seconds without an answer before Redis counts as away.
CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 10.0


def connect(url: str) -> redis.Redis:
    """Make a client that waits for a free connection instead of failing, and gives up soon when Redis is away."""
    pool = redis.BlockingConnectionPool.from_url(
        _plain_scheme(url),
        max_connections=64,
        timeout=ANSWER_SECONDS,
        socket_connect_timeout=CONNECT_SECONDS,
        socket_timeout=ANSWER_SECONDS,
        retry=Retry(ConstantBackoff(0.05), 1),
    )
    return redis.Redis.from_pool(cast("redis.ConnectionPool", pool))


def connect_async(url: str, *, retries: int = 1) -> Any:
    """Make an asynchronous client; whoever makes it closes it on the same loop.

    Args:
        url: Redis, as redis-py writes it.
        retries: How often a command is sent again that got no answer. 0 for commands that must not run twice: the first
            one may have run.
    """
    from redis import asyncio as redis_asyncio  # noqa: PLC0415 - senders never need it
    from redis.asyncio.retry import Retry as AsyncRetry  # noqa: PLC0415

    pool = redis_asyncio.BlockingConnectionPool.from_url(
        _plain_scheme(url),
        max_connections=64,
        timeout=ANSWER_SECONDS,
        socket_connect_timeout=CONNECT_SECONDS,
        socket_timeout=ANSWER_SECONDS,
        retry=AsyncRetry(ConstantBackoff(0.05), retries),
    )
    return redis_asyncio.Redis.from_pool(pool)


def unavailable(error: Exception, url: str) -> str:
    """Say in one line that Redis is away, and what helps."""
    said = str(error).strip().rstrip(".").splitlines()
    address = without_password(url)
    return f"Redis at {address} does not answer: {said[0] if said else type(error).__name__}; check AQUILA_REDIS_URL"


def without_password(url: str) -> str:
    """Give a Redis URL as it may be shown."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}".partition("?")[0]


def _plain_scheme(url: str) -> str:
    for ours, theirs in (
        ("valkey+unix://", "unix://"),
        ("valkeys://", "rediss://"),
        ("valkey://", "redis://"),
    ):
        if url.startswith(ours):
            return theirs + url.removeprefix(ours)
    return url
