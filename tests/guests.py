"""Clients of other libraries, asynchronous and blocking, read in one way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import httpx2
import pytest
from anyio import to_thread

BOTH = pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
WAYS = pytest.mark.parametrize("blocking", [False, True], ids=["async", "sync"])
PROMPT = {"model": "tiny", "messages": [{"role": "user", "content": "Hello"}], "stream": True}


async def read_async(
    library: Any, transport: Any, url: str, each: Callable[[bytes], object], **options: Any
) -> None:
    """Post the prompt with an `AsyncClient` and hand over each chunk of the answer."""
    async with (
        library.AsyncClient(transport=transport, timeout=options.pop("timeout", 5)) as client,
        client.stream("POST", url, **{"json": PROMPT, **options}) as response,
    ):
        async for chunk in response.aiter_raw():
            each(chunk)


def read_sync(
    library: Any, transport: Any, url: str, each: Callable[[bytes], object], **options: Any
) -> None:
    """Post the prompt with a `Client` and hand over each chunk of the answer."""
    with (
        library.Client(transport=transport, timeout=options.pop("timeout", 5)) as client,
        client.stream("POST", url, **{"json": PROMPT, **options}) as response,
    ):
        for chunk in response.iter_raw():
            each(chunk)


async def chunks(
    library: Any, transport: Any, url: str, *, blocking: bool = False, **options: Any
) -> list[bytes]:
    """Post the prompt and give the chunks of the answer; `each` is handed them as they come."""
    got: list[bytes] = []
    also = options.pop("each", None)

    def each(chunk: bytes) -> None:
        got.append(chunk)
        if also is not None:
            also(chunk)

    if blocking:
        await to_thread.run_sync(lambda: read_sync(library, transport, url, each, **options))
    else:
        await read_async(library, transport, url, each, **options)
    return got
