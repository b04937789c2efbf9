from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

import anyio
import anyio.lowlevel
import pytest

from chimeway.adapters.guarded_call import Raised, guarded

ENDINGS = [SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError, StopIteration, ValueError]


def plain(error: type[BaseException]) -> Callable[[], NoReturn]:
    def work() -> NoReturn:
        raise error

    return work


def later(error: type[BaseException]) -> Callable[[], Awaitable[None]]:
    async def work() -> None:
        await anyio.lowlevel.checkpoint()
        raise error

    return work


@pytest.mark.parametrize("error", ENDINGS)
async def test_whatever_a_plain_function_raises_is_given(error: type[BaseException]) -> None:
    assert type((await guarded(plain(error))).error) is error
    assert type((await guarded(plain(error), in_loop=True)).error) is error


@pytest.mark.parametrize("error", [one for one in ENDINGS if one is not StopIteration])
async def test_whatever_an_asynchronous_function_raises_is_given(error: type[BaseException]) -> None:
    assert type((await guarded(later(error), in_loop=True)).error) is error
    assert type((await guarded(later(error))).error) is error


async def test_a_task_of_the_functions_own_that_was_cancelled_is_an_error_of_it() -> None:
    async def work() -> None:
        task = asyncio.ensure_future(anyio.sleep(10))
        task.cancel()
        await task

    assert isinstance((await guarded(work, in_loop=True)).error, asyncio.CancelledError)
    # Whoever waits is not cancelled thereby.
    await anyio.lowlevel.checkpoint()


async def hang() -> None:
    await anyio.sleep_forever()


@pytest.mark.parametrize("in_loop", [True, False])
async def test_the_cancellation_of_a_scope_goes_through(in_loop: bool) -> None:
    seen: list[Any] = []
    with anyio.move_on_after(0.02) as scope:
        seen.append(await guarded(hang, in_loop=in_loop))

    assert scope.cancelled_caught
    assert seen == []


@pytest.mark.parametrize("in_loop", [True, False])
async def test_the_cancellation_of_a_task_goes_through(in_loop: bool) -> None:
    task = asyncio.ensure_future(guarded(hang, in_loop=in_loop))
    await anyio.sleep(0.02)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_thread_that_nobody_waits_for_any_more_ends_by_itself() -> None:
    over, ended = threading.Event(), threading.Event()

    def work() -> None:
        over.wait(10)
        ended.set()
        raise SystemExit

    with anyio.move_on_after(0.02):
        await guarded(work)
    over.set()

    assert await anyio.to_thread.run_sync(ended.wait, 10)


async def test_a_call_that_the_loop_throws_away_is_not_awaited_further() -> None:
    call = guarded(hang, in_loop=True)
    asked: Any = call.send(None)

    def throw_away() -> None:
        # Another thread has no running task, as the end of a loop has none.
        call.close()

    await anyio.to_thread.run_sync(throw_away)
    asked.cancel()
    with pytest.raises(RuntimeError, match="cannot reuse"):
        call.send(None)


def test_what_was_raised_is_told_apart_from_a_value() -> None:
    error = ValueError("x")

    assert anyio.run(guarded, lambda: error) is error
    assert anyio.run(guarded, plain(ValueError)) != Raised(error)
