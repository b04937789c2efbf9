from __future__ import annotations

import time
from collections.abc import Sequence

import anyio
import pytest

from jobs.together import Together


async def test_what_gathers_meanwhile_is_worked_on_in_one_go() -> None:
    batches: list[list[int]] = []

    def work(values: Sequence[int]) -> None:
        time.sleep(0.05)
        batches.append(list(values))

    together = Together(work, most=100)
    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(together.do, number)

    assert sorted(number for batch in batches for number in batch) == list(range(20))
    assert len(batches) <= 3


async def test_no_batch_is_larger_than_it_may_be() -> None:
    batches: list[int] = []
    together = Together(lambda values: batches.append(len(values)), most=4)
    async with anyio.create_task_group() as group:
        for number in range(10):
            group.start_soon(together.do, number)

    assert sum(batches) == 10
    assert max(batches) <= 4


async def test_an_error_is_everybodys_and_the_next_batch_goes_on() -> None:
    failing = [True]

    def work(values: Sequence[int]) -> None:
        if failing:
            raise ValueError("no")

    together = Together(work, most=10)
    errors: list[int] = []

    async def ask(number: int) -> None:
        with pytest.raises(ValueError, match="no"):
            await together.do(number)
        errors.append(number)

    async with anyio.create_task_group() as group:
        for number in range(3):
            group.start_soon(ask, number)
    failing.clear()
    await together.do(4)

    assert sorted(errors) == [0, 1, 2]


async def test_cancelling_waits_until_the_work_is_done() -> None:
    done: list[int] = []
    together = Together(done.extend, most=10)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await together.do(1)

    assert done == [1]
