from __future__ import annotations

import threading

import anyio
import pytest
from job_workers import until

from jobs.threads import left_behind, run_abandonable


async def test_a_function_gives_its_value_and_raises_its_error_in_a_thread_of_its_own() -> None:
    assert await run_abandonable(threading.get_ident) != threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        await run_abandonable(lambda: 1 // 0)
    assert left_behind() == 0


async def test_a_function_that_nobody_waits_for_any_more_is_counted_until_it_ends() -> None:
    over = threading.Event()
    with anyio.move_on_after(0.02):
        await run_abandonable(lambda: over.wait(10))
    with anyio.move_on_after(0.02):
        await run_abandonable(lambda: over.wait(10))

    assert left_behind() == 2
    over.set()
    await until(lambda: not left_behind())


async def test_an_error_after_nobody_waits_ends_the_count_too() -> None:
    over = threading.Event()

    def work() -> None:
        over.wait(10)
        raise SystemExit

    with anyio.move_on_after(0.02):
        await run_abandonable(work)

    assert left_behind() == 1
    over.set()
    await until(lambda: not left_behind())


async def test_a_function_that_never_began_is_not_counted() -> None:
    begun = threading.Event()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await run_abandonable(begun.set)

    assert scope.cancelled_caught
    assert not begun.is_set()
    assert left_behind() == 0
