"""Runs one tool call; whatever happens in the tool, there is a result to tell the model."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import anyio
import anyio.to_thread

from aquila.errors import ToolError
from aquila.tool_call import ToolCall
from aquila.tools.context import Context, ToolOutput
from aquila.tools.declare import Tool
from aquila.tools.rendering import render, sendable
from aquila.tools.signature import plain_function

logger = logging.getLogger("aquila")

#: A longer failure (a page of HTML, a dump) helps no model.
_LONGEST_FAILURE = 2000


async def run_tool(
    tool: Tool[..., Any], call: ToolCall, context: Context[Any], seconds: float | None
) -> ToolOutput:
    """Run one call and give its output as text.

    A cancellation from outside goes on, as do KeyboardInterrupt and SystemExit. A plain function that is cancelled or
    takes too long cannot be stopped: its thread is left alone, and what it still does is lost.

    Args:
        tool: What to run.
        call: What the model wrote.
        context: What a parameter annotated with Context gets.
        seconds: How long it may take; None sets no limit.

    Raises:
        KeyboardInterrupt: The user wants the process to end.
        SystemExit: The tool wants it to.
        GeneratorExit: The event loop throws the run away.
    """
    try:
        return _output(await _call(tool, call, context, seconds), context.value)
    except ToolError as error:
        return failure(str(error) or "Tool failed")
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except anyio.get_cancelled_exc_class():
        if anyio.current_effective_deadline() == float("-inf"):
            raise
        # Nobody cancelled the run: the tool waited for something that was cancelled.
        return failure("Tool failed: what it waited for was cancelled")
    except BaseException as error:
        # A BaseException too: Rust extensions panic with one, and the run must go on.
        # The trace is for the developer and would only confuse the model.
        logger.warning(
            "tool_failed ref=%s tool=%s call_id=%s", context.ref, tool.name, call.call_id, exc_info=error
        )
        return failure(_describe(error))


def failure(message: str) -> ToolOutput:
    """Make the output of a call that failed."""
    return ToolOutput(sendable(message), status="error")


async def _call(tool: Tool[..., Any], call: ToolCall, context: Context[Any], seconds: float | None) -> object:
    bound = tool.arguments.bind(call.arguments or {}, context)
    run = partial(tool.function, *bound.args, **bound.kwargs)
    if inspect.iscoroutinefunction(plain_function(tool.function)):
        return await _within(seconds, run())
    # The clock starts with the thread, not with the wait for one. The token is not the task's, as a task can hold only
    # one and the tool may need a thread of its own.
    threads, token = anyio.to_thread.current_default_thread_limiter(), object()
    await threads.acquire_on_behalf_of(token)
    try:
        return await _within(seconds, _in_thread(run))
    finally:
        threads.release_on_behalf_of(token)


async def _in_thread(run: Callable[[], Any]) -> object:
    result = await anyio.to_thread.run_sync(run, abandon_on_cancel=True, limiter=anyio.CapacityLimiter(1))
    # A plain function may hand out a coroutine, as decorators do.
    return await result if inspect.isawaitable(result) else result


async def _within(seconds: float | None, running: Awaitable[object]) -> object:
    with anyio.move_on_after(seconds):
        return await running
    raise ToolError(f"Tool failed: it took longer than {seconds:g} s")


def _output(value: object, context: object) -> ToolOutput:
    """Turn what a tool returned into text, a patch and a status.

    Raises:
        ToolError: It cannot be told to a model, or its patch cannot be merged.
    """
    output = value if isinstance(value, ToolOutput) else ToolOutput(value)
    if output.status not in {"ok", "error"}:
        raise ToolError(
            f"Tool failed: the status {output.status!r} of its ToolOutput is neither ok nor error"
        )
    patch = output.context_patch
    if patch is not None and not isinstance(patch, Mapping):
        raise ToolError(f"Tool failed: its context_patch is a {type(patch).__name__}, and must be a dict")
    if patch is not None and context is not None and not isinstance(context, Mapping):
        raise ToolError(
            f"Tool failed: its context_patch cannot be merged, as tool_context is a {type(context).__name__} and no dict"
        )
    return ToolOutput(render(output.value), patch, output.status)


def _describe(error: BaseException) -> str:
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 - an exception that cannot say what it is must not end the run
        message = ""
    return f"Tool failed: {type(error).__name__}: {message}".removesuffix(": ")[:_LONGEST_FAILURE]
