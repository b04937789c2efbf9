"""The clocks of a run by themselves: which one rings, and whose cancellation is whose."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable

import anyio
import anyio.lowlevel
import pytest

from aquila import errors
from aquila.clocks import Clocks
from aquila.timeouts import Timeouts


@pytest.fixture
async def make() -> AsyncIterator[type[Clocks]]:
    """Make clocks that are put away with the test."""
    made: list[Clocks] = []

    class Made(Clocks):
        def __init__(self, timeouts: Timeouts) -> None:
            super().__init__(timeouts)
            made.append(self)

    yield Made
    for clocks in made:
        clocks.close()


async def ended_by(wait: Awaitable[object]) -> errors.TimeoutExceeded:
    """Wait for a clock to ring."""
    with anyio.fail_after(5), pytest.raises(errors.TimeoutExceeded) as caught:
        await wait
    return caught.value


@pytest.mark.parametrize(
    ("timeouts", "content", "expected"),
    [
        (Timeouts(silence=0.05, first_chunk=9), False, errors.SilenceTimeout),
        (Timeouts(silence=9, first_chunk=0.05), False, errors.FirstChunkTimeout),
        (Timeouts(silence=9, first_chunk=0.05, idle=0.06), True, errors.IdleTimeout),
        (Timeouts(silence=9, first_chunk=9, total=0.05), False, errors.TotalTimeout),
        (Timeouts(silence=0.05, first_chunk=0.05, total=0.05), False, errors.TotalTimeout),
        (Timeouts(silence=0.05, first_chunk=0.05), False, errors.SilenceTimeout),
        (Timeouts(silence=0.05, first_chunk=None, idle=None), True, errors.SilenceTimeout),
    ],
)
async def test_the_limit_that_comes_first_ends_the_wait(
    make: type[Clocks], timeouts: Timeouts, content: bool, expected: type[errors.TimeoutExceeded]
) -> None:
    clocks = make(timeouts)
    if content:
        clocks.content()

    error = await ended_by(clocks.wait_source(anyio.sleep_forever()))

    assert type(error) is expected
    assert error.seconds == getattr(timeouts, error.clock)
    assert f"raise the {error.clock} timeout" in str(error)


async def test_a_clock_that_is_off_never_rings(make: type[Clocks]) -> None:
    clocks = make(Timeouts(silence=None, first_chunk=None, idle=None, total=None))

    with anyio.move_on_after(0.1) as scope:
        await clocks.wait_source(anyio.sleep_forever())

    assert scope.cancelled_caught


async def test_only_waits_on_the_source_count_for_content(make: type[Clocks]) -> None:
    clocks = make(Timeouts(first_chunk=0.3))

    for _ in range(3):
        await anyio.sleep(0.12)
        await clocks.wait_source(anyio.sleep(0.01))
    began = anyio.current_time()
    error = await ended_by(clocks.wait_source(anyio.sleep_forever()))

    assert isinstance(error, errors.FirstChunkTimeout)
    assert 0.2 < anyio.current_time() - began < 1.5


async def test_waits_without_content_add_up(make: type[Clocks]) -> None:
    clocks = make(Timeouts(first_chunk=0.2))

    async def keep_alives() -> None:
        while True:
            await clocks.wait_source(anyio.sleep(0.01))

    assert isinstance(await ended_by(keep_alives()), errors.FirstChunkTimeout)


async def test_content_sets_the_content_clock_back_and_a_new_request_does_too(make: type[Clocks]) -> None:
    clocks = make(Timeouts(first_chunk=0.2, idle=0.2))

    for _ in range(5):
        await clocks.wait_source(anyio.sleep(0.05))
        clocks.content()
    for _ in range(5):
        await clocks.wait_source(anyio.sleep(0.05))
        clocks.new_request()

    assert isinstance(await ended_by(clocks.wait_source(anyio.sleep_forever())), errors.FirstChunkTimeout)


async def test_the_first_content_of_a_run_is_the_first_of_all_its_requests(make: type[Clocks]) -> None:
    clocks = make(Timeouts())
    clocks.new_request()
    clocks.content()
    first = clocks.time_to_first_chunk

    await anyio.sleep(0.01)
    clocks.new_request()
    clocks.content()

    assert first is not None
    assert clocks.time_to_first_chunk == first


async def test_the_time_of_a_run_goes_on_when_others_limits_take_over(make: type[Clocks]) -> None:
    clocks = make(Timeouts(silence=9, total=0.2))
    await anyio.sleep(0.1)

    clocks.go_by(Timeouts(silence=0.01, total=0.2))
    first = await ended_by(clocks.wait_source(anyio.sleep_forever()))
    clocks.go_by(Timeouts(silence=9, total=0.2))
    second = await ended_by(clocks.wait_source(anyio.sleep_forever()))

    assert isinstance(first, errors.SilenceTimeout)
    assert isinstance(second, errors.TotalTimeout)
    assert 0.2 <= clocks.elapsed() < 1.0


async def test_a_deadline_that_has_passed_ends_the_next_wait_before_it_begins(make: type[Clocks]) -> None:
    clocks = make(Timeouts(total=0.01))
    await anyio.sleep(0.02)

    with pytest.raises(errors.TotalTimeout):
        clocks.check_total()
    with pytest.raises(errors.TotalTimeout), clocks:
        pytest.fail("nothing may be begun")
    assert not clocks.leaves(0.0)


async def test_a_brief_wait_is_left_in_silence(make: type[Clocks]) -> None:
    clocks = make(Timeouts())

    with anyio.fail_after(5):
        await clocks.wait_briefly(anyio.sleep_forever(), 0.01)
        await clocks.wait_briefly(anyio.lowlevel.checkpoint(), 5)


async def test_a_pause_ends_with_the_run_s_time_or_when_somebody_ends_it(make: type[Clocks]) -> None:
    clocks = make(Timeouts(total=0.05))
    other = make(Timeouts())

    assert isinstance(await ended_by(clocks.pause(9)), errors.TotalTimeout)
    asyncio.get_running_loop().call_later(0.01, other.interrupt, errors.AquilaError("closed"))
    with anyio.fail_after(5), pytest.raises(errors.AquilaError, match="closed"):
        await other.pause(9)


async def test_an_interruption_outside_a_wait_does_nothing(make: type[Clocks]) -> None:
    clocks = make(Timeouts())

    clocks.interrupt(errors.AquilaError("closed"))
    await clocks.wait_source(anyio.lowlevel.checkpoint())


async def test_what_the_source_raises_goes_through(make: type[Clocks]) -> None:
    clocks = make(Timeouts())

    async def fail() -> None:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        await clocks.wait_source(fail())


async def test_a_ring_leaves_no_trace_of_a_cancellation(make: type[Clocks]) -> None:
    clocks = make(Timeouts(silence=0.01))
    task = asyncio.current_task()
    assert task is not None

    for _ in range(3):
        await ended_by(clocks.wait_source(anyio.sleep_forever()))

    assert task.cancelling() == 0


async def test_a_cancellation_from_outside_wins_over_a_clock_that_rings_with_it(make: type[Clocks]) -> None:
    clocks = make(Timeouts(silence=0.05))

    async def wait() -> None:
        await clocks.wait_source(anyio.sleep_forever())

    task = asyncio.ensure_future(wait())
    await anyio.lowlevel.checkpoint()
    # Both happen before the task gets to run.
    asyncio.get_running_loop().call_later(0.05, task.cancel)
    asyncio.get_running_loop().call_later(0.04, _busy, 0.03)

    with anyio.fail_after(5), pytest.raises(asyncio.CancelledError):
        await task


def _busy(seconds: float) -> None:
    """Keep the loop from running for some seconds."""
    until = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < until:
        pass


async def test_a_scope_around_the_wait_keeps_its_own_cancellation(make: type[Clocks]) -> None:
    clocks = make(Timeouts(silence=5))

    with anyio.move_on_after(0.05) as scope:
        await clocks.wait_source(anyio.sleep_forever())

    assert scope.cancelled_caught
    await clocks.wait_source(anyio.lowlevel.checkpoint())


async def test_a_source_that_swallows_the_ring_and_gives_something_is_believed(make: type[Clocks]) -> None:
    clocks = make(Timeouts(silence=0.01))
    task = asyncio.current_task()
    assert task is not None

    async def stubborn() -> str:
        try:
            await anyio.sleep_forever()
        except asyncio.CancelledError:
            return "late"
        return ""

    assert await clocks.wait_source(stubborn()) == "late"
    assert task.cancelling() == 0
