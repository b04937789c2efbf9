from __future__ import annotations

import anyio
import pytest

from jobs.bounded import for_each


class Work:
    def __init__(self, *, fails: dict[int, Exception] | None = None, seconds: float = 0.01) -> None:
        self.fails = fails or {}
        self.seconds = seconds
        self.begun: list[int] = []
        self.ended: list[int] = []
        self.most = 0

    async def do(self, item: int) -> int:
        self.begun.append(item)
        self.most = max(self.most, len(self.begun) - len(self.ended))
        try:
            if item in self.fails:
                raise self.fails[item]
            await anyio.sleep(self.seconds * (3 - item % 3))
            return item * item
        finally:
            self.ended.append(item)


async def test_what_came_is_in_the_order_of_the_items_and_so_many_run_at_once() -> None:
    work = Work()

    assert await for_each(work.do, range(10), at_once=3) == [item * item for item in range(10)]

    assert work.most == 3


@pytest.mark.parametrize("at_once", [1, 5])
async def test_nothing_to_do_is_done_at_once(at_once: int) -> None:
    assert await for_each(Work().do, [], at_once=at_once) == []


async def test_after_an_error_no_more_is_begun_and_what_runs_is_let_finish() -> None:
    work = Work(fails={1: ValueError("one")}, seconds=0.05)

    with pytest.raises(ValueError, match="one"):
        await for_each(work.do, range(10), at_once=3)

    assert sorted(work.begun) == [0, 1, 2]
    assert sorted(work.ended) == [0, 1, 2]


async def test_of_several_errors_the_first_is_raised_and_no_group() -> None:
    work = Work(fails={0: ValueError("zero"), 1: KeyError("one")})

    with pytest.raises(ValueError, match="zero"):
        await for_each(work.do, range(2), at_once=2)


async def test_cancelling_ends_what_runs() -> None:
    work = Work(seconds=20)

    with anyio.move_on_after(0.05):
        await for_each(work.do, range(4), at_once=2)

    assert (sorted(work.begun), sorted(work.ended)) == ([0, 1], [0, 1])
