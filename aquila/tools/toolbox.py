"""`Toolbox`: the tools of one run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from types import MappingProxyType
from typing import Any, Protocol

import anyio

from aquila.call import ToolSpec
from aquila.errors import ConfigError, ToolError
from aquila.tool_call import ToolCall, ToolResult
from aquila.tools.context import Context, ToolOutput
from aquila.tools.declare import Tool
from aquila.tools.given import read_tools, tool_name
from aquila.tools.ledger import run_once
from aquila.tools.runner import failure, run_tool

logger = logging.getLogger("aquila")

_LONGEST_EXCERPT = 200
_NONE_DENIED: Mapping[str, str] = MappingProxyType({})


class Watcher(Protocol):
    """Whoever watches one call."""

    def result(self, result: ToolResult) -> None:
        """Take note of what the call gave."""


class Toolbox:
    """Runs what the model calls, with the context that calls hand on.

    Args:
        tools: Functions, tools, `{"name", "function", ...}`, and declarations (`{"type": "web_search"}`), which pass
            through to the provider untouched.
        context: What tools get as `Context.value`. A dict is copied once, so patches never reach the caller's own.
        limit: Calls of one round that run at a time.
        timeout: Seconds one call may take if its tool does not say; None sets no limit.
        ref: The run's name.

    Raises:
        ConfigError: Something is no tool, two tools have one name, or a limit cannot be used.
    """

    def __init__(
        self,
        tools: Iterable[Any],
        *,
        context: Any = None,
        limit: int = 4,
        timeout: float | None = 60.0,
        ref: str = "",
    ) -> None:
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
            raise ConfigError(f"parallel_tools={limit!r} must be a whole number above 0")
        if timeout is not None and not timeout > 0:
            raise ConfigError(f"timeout: tool={timeout!r} must be a number of seconds above 0, or None")
        given = read_tools(tools)
        #: The tools as the provider is told about them, in the order given.
        self.specs: tuple[ToolSpec, ...] = tuple(
            item.spec if isinstance(item, Tool) else item for item in given
        )
        self._tools = {item.name: item for item in given if isinstance(item, Tool)}
        self._context: Any = dict(context) if isinstance(context, Mapping) else context
        #: As it was before any patch.
        self._first_context: Any = dict(context) if isinstance(context, Mapping) else context
        self._limit = limit
        self._timeout = timeout
        self._ref = ref

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the tools that run here."""
        return tuple(self._tools)

    @property
    def context(self) -> Any:
        """The run's context, with the patches so far."""
        return self._context

    def handles(self, name: str) -> bool:
        """Say whether a tool of that name runs here; a hosted or only declared one does not."""
        return name in self._tools

    def declares(self, name: str) -> bool:
        """Say whether a tool of that name is only declared, so that its calls are the caller's to run."""
        return name not in self._tools and name in map(tool_name, self.specs)

    def needs_approval(self, call: ToolCall) -> bool:
        """Say whether a person must approve a call.

        A call that cannot run (an unknown tool, arguments that do not fit) needs no approval: the model is told why.
        """
        tool = self._tools.get(call.name)
        if tool is None or not tool.needs_approval or call.arguments is None:
            return False
        try:
            tool.arguments.bind(call.arguments, self._context_of(call))
            return bool(tool.needs_approval is True or tool.needs_approval(call))
        except ToolError:
            return False
        except Exception:
            # Whoever asks for approval wants no call to slip through.
            logger.exception("tool_approval_failed ref=%s tool=%s", self._ref, call.name)
            return True

    async def run(
        self,
        calls: Sequence[ToolCall],
        *,
        denied: Mapping[str, str] = _NONE_DENIED,
        watch: Callable[[ToolCall], AbstractContextManager[Watcher]] | None = None,
    ) -> list[ToolResult]:
        """Run the calls of one round together and give one result for each, in their order.

        All of them see the context as it was before the round; their patches are merged afterwards, in call order. A
        cancellation cancels every call; the threads of plain functions go on unheard, and the process cannot exit
        before they end.

        Args:
            calls: What the model called.
            denied: The ids of calls that must not run, each with the reason the model is told.
            watch: Entered around each call, and told what it gave; None for nobody.
        """
        outputs: list[ToolOutput] = [failure("Tool failed: it was cancelled")] * len(calls)
        slots = anyio.CapacityLimiter(self._limit)

        async def answer(place: int, call: ToolCall) -> None:
            async with slots:
                if watch is None:
                    outputs[place] = await self._answer(call, denied)
                    return
                with watch(call) as watcher:
                    output = outputs[place] = await self._answer(call, denied)
                    watcher.result(_result(call, output))

        try:
            async with anyio.create_task_group() as tasks:
                for place, call in enumerate(calls):
                    tasks.start_soon(answer, place, call)
        except BaseExceptionGroup as group:
            # What ends a process (SystemExit, KeyboardInterrupt), or the trouble of a ledger; it must look like itself.
            raise group.exceptions[0] from None
        self._merge(outputs)
        return [_result(call, output) for call, output in zip(calls, outputs, strict=True)]

    async def _answer(self, call: ToolCall, denied: Mapping[str, str]) -> ToolOutput:
        if call.call_id in denied:
            return failure(f"declined: {denied[call.call_id]}")
        tool = self._tools.get(call.name)
        if tool is None:
            known = ", ".join(self._tools) or "none"
            return failure(f"unknown tool {call.name!r}; the tools are: {known}")
        if call.arguments is None:
            return failure(f"the arguments are not a JSON object: {_excerpt(call.text)}")
        seconds = self._timeout if tool.timeout is None else tool.timeout
        run = partial(run_tool, tool, call, self._context_of(call), seconds)
        return await run_once(tool, call, self._first_context, run)

    def _context_of(self, call: ToolCall) -> Context[Any]:
        return Context(value=self._context, call=call, ref=self._ref)

    def _merge(self, outputs: Iterable[ToolOutput]) -> None:
        for output in outputs:
            if output.context_patch is not None:
                # A new dict: a thread that was left alone keeps the one it has.
                self._context = {**(self._context or {}), **output.context_patch}


def _result(call: ToolCall, output: ToolOutput) -> ToolResult:
    return ToolResult(call.call_id, call.name, output.value, output.status)


def _excerpt(text: str) -> str:
    return text if len(text) <= _LONGEST_EXCERPT else f"{text[:_LONGEST_EXCERPT]}..."
