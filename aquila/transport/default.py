"""The transports that calls without one of their own share: one of each kind in a process."""

from __future__ import annotations

from functools import lru_cache

from aquila.transport.local import LocalTransport
from aquila.transport.openai import OpenAITransport


@lru_cache(maxsize=1)
def openai_transport() -> OpenAITransport:
    """Give the process's transport to OpenAI-compatible servers."""
    return OpenAITransport()


@lru_cache(maxsize=1)
def local_transport() -> LocalTransport:
    """Give the process's transport to the model on this machine."""
    return LocalTransport()
