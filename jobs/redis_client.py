"""Clients of Redis: bounded pools, short time-outs, and errors that say what helps."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

#: Seconds without an answer before Redis counts as away.
CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script that is sent by its digest, and in full only to a server that does not know it."""

    text: str
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        # Redis names a script so; nothing is kept secret by it.
        digest = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()
        object.__setattr__(self, "sha", digest)

    def run(self, client: redis.Redis, args: Sequence[Any]) -> Any:
        """Run it with the number of its keys, the keys and the arguments."""
        try:
            return client.evalsha(self.sha, *args)
        except redis.exceptions.NoScriptError:
            return client.eval(self.text, *args)

    async def arun(self, client: Any, args: Sequence[Any]) -> Any:
        """Do as `run` does with an asynchronous client."""
        try:
            return await client.evalsha(self.sha, *args)
        except redis.exceptions.NoScriptError:
            return await client.eval(self.text, *args)

    async def arun_all(self, client: Any, calls: Sequence[Sequence[Any]]) -> list[Any]:
        """Run it for each of `calls` in one pipeline; give the answers in order, errors among them."""
        answers = await self._send(client, calls)
        unknown = [
            n for n, answer in enumerate(answers) if isinstance(answer, redis.exceptions.NoScriptError)
        ]
        if unknown:
            # The server was started or flushed since. What it did not know it has not run.
            await client.script_load(self.text)
            again = await self._send(client, [calls[n] for n in unknown])
            for n, answer in zip(unknown, again, strict=True):
                answers[n] = answer
        return answers

    async def _send(self, client: Any, calls: Sequence[Sequence[Any]]) -> list[Any]:
        pipe = client.pipeline(transaction=False)
        for args in calls:
            pipe.evalsha(self.sha, *args)
        answers: list[Any] = await pipe.execute(raise_on_error=False)
        return answers


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
