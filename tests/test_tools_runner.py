from __future__ import annotations

import asyncio
import functools
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from aquila.errors import ToolError
from aquila.tool_call import ToolCall
from aquila.tools import Context, ToolOutput, tool
from aquila.tools.runner import run_tool


async def run(
    function: Callable[..., Any], seconds: float | None = 10.0, context: Any = None, **values: Any
) -> ToolOutput:
    made = tool(function, name="f")
    call = ToolCall("1", "f", values)
    return await run_tool(made, call, Context(value=context, call=call, ref="run"), seconds)


class Panic(BaseException):
    """What an extension in Rust raises."""


class Mute(Exception):  # noqa: N818
    def __str__(self) -> str:
        raise ValueError("cannot say")


async def test_a_plain_function_runs_in_a_thread_and_a_coroutine_function_on_the_loop() -> None:
    def plain() -> bool:
        return threading.current_thread() is threading.main_thread()

    async def later() -> bool:
        await anyio.lowlevel.checkpoint()
        return plain()

    assert await run(plain) == ToolOutput("false")
    assert await run(later) == ToolOutput("true")
    assert await run(functools.partial(later)) == ToolOutput("true")
    assert await run(lambda: later()) == ToolOutput("true")  # noqa: PLW0108 - no coroutine function, but gives a coroutine


async def test_an_object_with_an_async_call_runs_on_the_loop() -> None:
    class Desk:
        async def __call__(self, n: int) -> int:
            await anyio.lowlevel.checkpoint()
            return n + 1

    assert await run(Desk(), n="2") == ToolOutput("3")


async def test_arguments_that_do_not_fit_do_not_reach_the_function() -> None:
    ran: list[int] = []

    output = await run(lambda: ran.append(1), city="Rome")

    assert output.status == "error"
    assert "city" in output.value
    assert ran == []


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ToolError("no such city"), "no such city"),
        (ToolError(""), "Tool failed"),
        (ValueError("bad\nnews"), "Tool failed: ValueError: bad\nnews"),
        (KeyError(), "Tool failed: KeyError"),
        (Panic("index"), "Tool failed: Panic: index"),
        (Mute(), "Tool failed: Mute"),
        (TimeoutError("own"), "Tool failed: TimeoutError: own"),
        (OSError("\udce9"), "Tool failed: OSError: ?"),
        (StopIteration(), "Tool failed: RuntimeError: coroutine raised StopIteration"),
    ],
)
@pytest.mark.parametrize("kind", ["plain", "async"])
async def test_what_a_tool_raises_is_told_in_one_line_of_words(
    kind: str, error: BaseException, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    # Halves of characters in a captured log are more than pytest-xdist can send home.
    caplog.set_level(logging.CRITICAL + 1, logger="aquila")

    def plain() -> None:
        raise error

    async def later() -> None:
        raise error

    output = await run(plain if kind == "plain" else later)

    assert output == ToolOutput(said, status="error")


async def test_an_unexpected_failure_is_logged_with_its_trace_and_told_without(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken() -> None:
        raise ValueError("x" * 10_000)

    with caplog.at_level(logging.WARNING, logger="aquila"):
        output = await run(broken)
        await run(lambda: 1 / 0)

    assert len(output.value) == 2000
    assert "Traceback" not in output.value
    assert __file__ not in output.value
    assert caplog.records[0].exc_info
    assert caplog.records[0].getMessage() == "tool_failed ref=run tool=f call_id=1"


async def test_a_tool_that_takes_too_long_is_given_up() -> None:
    release = threading.Event()

    async def later() -> None:
        await anyio.sleep(60)

    try:
        for function in (later, lambda: release.wait(60)):
            with anyio.fail_after(5):
                output = await run(function, seconds=0.05)
            assert output == ToolOutput("Tool failed: it took longer than 0.05 s", status="error")
    finally:
        release.set()


async def test_waiting_for_a_thread_does_not_count_as_the_tools_time() -> None:
    threads = anyio.to_thread.current_default_thread_limiter()
    blocker = object()
    before, threads.total_tokens = threads.total_tokens, 1
    await threads.acquire_on_behalf_of(blocker)
    outputs = []

    async def call() -> None:
        outputs.append(await run(lambda: "done", seconds=0.2))

    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            await anyio.sleep(0.4)
            threads.release_on_behalf_of(blocker)
    finally:
        threads.total_tokens = before

    assert outputs == [ToolOutput("done")]


async def test_a_given_up_thread_does_not_keep_others_from_running() -> None:
    release = threading.Event()
    threads = anyio.to_thread.current_default_thread_limiter()

    try:
        await run(lambda: release.wait(60), seconds=0.02)
        assert threads.borrowed_tokens == 0
    finally:
        release.set()


async def test_a_plain_function_that_hands_out_a_coroutine_may_use_threads_itself() -> None:
    async def inner() -> str:
        return await anyio.to_thread.run_sync(lambda: "inside")

    assert await run(lambda: inner()) == ToolOutput("inside")  # noqa: PLW0108 - no coroutine function, but gives a coroutine


async def test_a_tool_that_swallows_its_cancellation_and_answers_is_believed() -> None:
    async def stubborn() -> str:
        try:
            await anyio.sleep(60)
        except asyncio.CancelledError:
            return "late"
        return "never"

    with anyio.fail_after(5):
        assert await run(stubborn, seconds=0.02) == ToolOutput("late")


async def test_a_tool_that_swallows_its_cancellation_and_waits_on_is_cancelled_again() -> None:
    async def stubborn() -> str:
        for _ in range(3):
            try:
                await anyio.sleep(60)
            except asyncio.CancelledError:
                continue
        return "gave in"

    with anyio.fail_after(5):
        assert await run(stubborn, seconds=0.02) == ToolOutput("gave in")


async def test_a_tool_whose_own_task_was_cancelled_fails_alone() -> None:
    async def waits() -> None:
        raise asyncio.CancelledError

    output = await run(waits)

    assert output == ToolOutput("Tool failed: what it waited for was cancelled", status="error")


async def test_a_cancellation_from_outside_goes_on() -> None:
    with anyio.move_on_after(0.05) as scope:
        await run(lambda: time.sleep(0.2))

    assert scope.cancelled_caught


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
@pytest.mark.parametrize("kind", ["plain", "async"])
def test_a_wish_to_end_the_process_is_granted(kind: str, error: type[BaseException]) -> None:
    def plain() -> None:
        raise error

    async def later() -> None:
        raise error

    with pytest.raises(error):
        asyncio.run(run(plain if kind == "plain" else later))


@pytest.mark.parametrize(
    ("returned", "context", "said"),
    [
        (ToolOutput("x", context_patch=[1]), {}, "context_patch is a list"),  # type: ignore[arg-type]
        (ToolOutput("x", context_patch={}), 3, "tool_context is a int and no dict"),
        (ToolOutput("x", status="fine"), {}, "status 'fine'"),  # type: ignore[arg-type]
        (ToolOutput(object()), {}, "returned a object"),
    ],
)
async def test_an_output_that_cannot_be_used_is_an_error(
    returned: ToolOutput, context: Any, said: str
) -> None:
    output = await run(lambda: returned, context=context)

    assert output.status == "error"
    assert said in output.value


async def test_an_output_keeps_its_patch_and_status() -> None:
    given = ToolOutput({"left": 0}, context_patch={"tries": 1}, status="error")

    assert await run(lambda: given, context={}) == ToolOutput('{"left":0}', {"tries": 1}, "error")


async def test_a_huge_output_is_passed_on_whole() -> None:
    with anyio.fail_after(20):
        output = await run(lambda: ["x" * 1000] * 10_000)

    assert len(output.value) == 10_000 * 1_003 + 1
