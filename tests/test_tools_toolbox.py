from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from aquila.errors import ConfigError, ToolError
from aquila.sink import ambient, ambient_sinks, collector
from aquila.tool_call import ToolCall, ToolResult
from aquila.tools import Context, Toolbox, ToolOutput, tool


def call(name: str, call_id: str = "1", **arguments: Any) -> ToolCall:
    return ToolCall(call_id, name, arguments)


def add(a: int, b: int) -> int:
    """Add."""
    return a + b


def fail() -> None:
    raise ToolError("no")


def count(ctx: Context[dict[str, int]], by: int = 1) -> ToolOutput:
    seen = ctx.value.get("n", 0)
    return ToolOutput(seen, context_patch={"n": seen + by})


async def test_each_call_gets_one_result_in_the_order_of_the_calls() -> None:
    async def wait(seconds: float) -> float:
        await anyio.sleep(seconds)
        return seconds

    calls = [
        call("wait", "calculator:0", seconds=0.05),
        call("wait", "call_00_x", seconds=0),
        call("fail", "toolu_1"),
        call("nothing", "d"),
        ToolCall("e", "add", None, "{broken"),
        call("add", "f", a=1),
        call("add", "f", a=1, b="2"),
    ]

    results = await Toolbox([wait, fail, add]).run(calls)

    assert results == [
        ToolResult("calculator:0", "wait", "0.05"),
        ToolResult("call_00_x", "wait", "0.0"),
        ToolResult("toolu_1", "fail", "no", "error"),
        ToolResult("d", "nothing", "unknown tool 'nothing'; the tools are: wait, fail, add", "error"),
        ToolResult("e", "add", "the arguments are not a JSON object: {broken", "error"),
        ToolResult(
            "f", "add", "the arguments do not fit, so the tool was not run:\nb: Field required", "error"
        ),
        ToolResult("f", "add", "3"),
    ]


async def test_no_more_than_the_limit_run_at_a_time() -> None:
    running = most = 0

    async def work(n: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await anyio.sleep(0.001)
        running -= 1
        return n

    results = await Toolbox([work], limit=4).run([call("work", str(n), n=n) for n in range(100)])

    assert [result.output for result in results] == [str(n) for n in range(100)]
    assert most == 4


async def test_plain_functions_run_together_too() -> None:
    meeting = threading.Barrier(4, timeout=10)

    def meet() -> str:
        meeting.wait()
        return "met"

    results = await Toolbox([meet], limit=4).run([call("meet", str(n)) for n in range(4)])

    assert {result.output for result in results} == {"met"}


async def test_patches_reach_later_rounds_and_never_the_callers_own_dict() -> None:
    mine = {"n": 1}
    box = Toolbox([count], context=mine)

    first = await box.run([call("count", "a"), call("count", "b", by=10)])
    second = await box.run([call("count", "c")])

    assert [result.output for result in (*first, *second)] == ["1", "1", "11"]
    assert box.context == {"n": 12}
    assert mine == {"n": 1}


async def test_a_failed_call_may_patch_as_well_and_a_patch_may_begin_a_context() -> None:
    def flaky(ctx: Context[Any]) -> ToolOutput:
        tries = (ctx.value or {}).get("tries", 0) + 1
        return ToolOutput("transient failure", context_patch={"tries": tries}, status="error")

    box = Toolbox([flaky])
    results = await box.run([call("flaky")])
    await box.run([call("flaky")])

    assert results == [ToolResult("1", "flaky", "transient failure", "error")]
    assert box.context == {"tries": 2}


async def test_a_context_that_is_no_dict_is_passed_as_it_is() -> None:
    class Database:
        pass

    database = Database()

    def look(ctx: Context[Database]) -> bool:
        return ctx.value is database and ctx.ref == "run" and ctx.call.call_id == "1"

    box = Toolbox([look], context=database, ref="run")

    assert (await box.run([call("look")]))[0].output == "true"
    assert box.context is database


async def test_a_denied_call_does_not_run_and_the_model_is_told_why() -> None:
    results = await Toolbox([add]).run(
        [call("add", "a", a=1, b=1), call("add", "b", a=1, b=1)], denied={"a": "too dear"}
    )

    assert results == [ToolResult("a", "add", "declined: too dear", "error"), ToolResult("b", "add", "2")]


async def test_a_tools_own_time_limit_goes_before_the_runs() -> None:
    async def wait(seconds: float) -> str:
        await anyio.sleep(seconds)
        return "done"

    box = Toolbox(
        [wait, tool(wait, name="patient", timeout=30), tool(wait, name="hasty", timeout=0.01)], timeout=0.02
    )
    names = ["wait", "patient", "hasty"]

    with anyio.fail_after(10):
        results = await box.run([call(name, name, seconds=0.2) for name in names])

    assert [result.output for result in results] == [
        "Tool failed: it took longer than 0.02 s",
        "done",
        "Tool failed: it took longer than 0.01 s",
    ]


async def test_cancelling_a_run_cancels_every_call() -> None:
    ended: list[str] = []

    async def wait() -> None:
        try:
            await anyio.sleep(60)
        finally:
            ended.append("ended")

    box = Toolbox([wait])
    with anyio.move_on_after(0.05) as scope:
        await box.run([call("wait", str(n)) for n in range(6)])

    assert scope.cancelled_caught
    assert ended == ["ended"] * 4


async def test_a_tool_that_cancels_itself_leaves_a_result_for_every_call() -> None:
    async def odd() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await anyio.sleep(60)

    with anyio.fail_after(5):
        results = await Toolbox([odd, add]).run([call("odd"), call("add", "2", a=1, b=1)])

    assert [result.status for result in results] == ["error", "ok"]
    assert "cancelled" in results[0].output


async def test_what_is_ambient_outside_is_ambient_in_every_tool() -> None:
    mark: ContextVar[str] = ContextVar("mark", default="none")

    def plain() -> list[Any]:
        return [mark.get(), len(ambient_sinks())]

    async def later() -> list[Any]:
        await anyio.lowlevel.checkpoint()
        return plain()

    mark.set("set")
    with ambient(collector()):
        results = await Toolbox([plain, later]).run([call("plain"), call("later")])

    assert [result.output for result in results] == ['["set",1]', '["set",1]']


def test_a_box_says_what_it_has() -> None:
    search = {"type": "web_search"}

    box = Toolbox([add, search, {"type": "function", "name": "declared"}])

    assert box.specs[0] == tool(add).spec
    assert box.specs[1] is search
    assert box.names == ("add",)
    assert [box.handles(name) for name in ("add", "web_search", "declared")] == [True, False, False]
    assert [box.declares(name) for name in ("add", "web_search", "declared")] == [False, False, True]


def test_approval_is_asked_for_calls_that_could_run() -> None:
    def dear(asked: ToolCall) -> bool:
        arguments: Mapping[str, Any] = asked.arguments or {}
        return bool(arguments["a"] > 10)

    def broken(asked: ToolCall) -> bool:
        raise ValueError(asked.name)

    box = Toolbox([
        add,
        tool(add, name="always", needs_approval=True),
        tool(add, name="dear", needs_approval=dear),
        tool(add, name="broken", needs_approval=broken),
    ])  # fmt: skip

    asked = [
        call("add", a=1, b=1),
        call("always", a=1, b=1),
        call("always", a=1),
        ToolCall("1", "always", None, "{"),
        call("dear", a=1, b=1),
        call("dear", a=11, b=1),
        call("broken", a=1, b=1),
        call("unknown"),
    ]
    assert [box.needs_approval(one) for one in asked] == [
        False, True, False, False, False, True, True, False,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"limit": 0}, "parallel_tools=0"),
        ({"limit": True}, "parallel_tools=True"),
        ({"timeout": 0}, "tool=0"),
    ],
)
def test_limits_that_cannot_be_used_are_refused(options: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Toolbox([add], **options)


async def test_a_round_without_calls_has_no_results() -> None:
    assert await Toolbox([add]).run([]) == []
