from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from chimeway_notifiers import told
from job_workers import until

from chimeway.adapters import calling
from chimeway.adapters.failover import Handed
from chimeway.dispatch.addressing import addressed
from chimeway.message import OutgoingMessage
from jobs.threads import left_behind
from tests.outgoing import outgoing


async def found(function: Callable[[str, str], Any], timeout: float = 10) -> OutgoingMessage | Handed:  # noqa: ASYNC109
    with told(addresses=function, timeout=timeout):
        return await addressed(outgoing(address=None))


async def failed(function: Callable[[str, str], Any], timeout: float = 10) -> str:  # noqa: ASYNC109
    handed = await found(function, timeout)
    assert isinstance(handed, Handed)
    assert handed.error_class == "address_unknown"
    return str(handed.error)


@pytest.mark.parametrize("given", ["ada@example.com", None, ""])
async def test_a_plain_and_an_asynchronous_function_give_the_address(given: str | None) -> None:
    async def later(identity: str, channel: str) -> str | None:
        return given

    for function in (later, lambda _identity, _channel: given):
        message = await found(function)
        assert isinstance(message, OutgoingMessage)
        assert message.address == (given or None)


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, asyncio.CancelledError, KeyError])
async def test_whatever_the_function_raises_fails_the_attempt_alone(error: type[BaseException]) -> None:
    def plain(identity: str, channel: str) -> str:
        raise error("ada@example.com")

    async def later(identity: str, channel: str) -> str:
        raise error("ada@example.com")

    for function in (plain, later):
        assert await failed(function) == f"the addresses function gave none: {error.__name__}"


async def test_what_is_no_address_fails_the_attempt() -> None:
    assert "gave int, and must give a text or None" in await failed(lambda _identity, _channel: 5)


async def test_a_function_that_hangs_is_left_behind_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calling, "MOST_LEFT_BEHIND", 1)
    over = threading.Event()

    words = await failed(lambda _identity, _channel: over.wait(10), 0.02)

    assert words == "the addresses function gave none: TimeoutError"
    assert left_behind() == 1
    assert "no other is begun" in await failed(lambda _identity, _channel: "ada@example.com")
    over.set()
    await until(lambda: not left_behind())
