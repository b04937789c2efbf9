"""One tool call as a child span of its run."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from time import perf_counter
from typing import TYPE_CHECKING, Any

from aquila.telemetry.attributes import ERROR_TYPE, GIVEN_UP, OPERATION, TOOL_NAME
from aquila.telemetry.content import as_json
from aquila.telemetry.listeners import Instruments
from aquila.tool_call import ToolCall, ToolResult

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer


class ToolTelemetry:
    """One tool call's span and its duration; made by `RunTelemetry.tool`."""

    __slots__ = ("_captures", "_error", "_given_up", "_labels", "_span", "_started")

    def __init__(
        self, call: ToolCall, span: Span | None, run_labels: dict[str, Any], *, captures: bool
    ) -> None:
        self._captures = captures
        self._started = perf_counter()
        self._error: str | None = None
        self._given_up = False
        self._labels = {**run_labels, OPERATION: "execute_tool", TOOL_NAME: call.name}
        self._span = span

    def active(self) -> AbstractContextManager[object]:
        """Make the span current, so that what the tool itself does stands below it."""
        if self._span is None:
            return nullcontext()
        from opentelemetry.trace import use_span  # noqa: PLC0415 - loaded already: there is a tracer

        return use_span(self._span, record_exception=False, set_status_on_exception=False)

    def result(self, result: ToolResult) -> None:
        """Note what the tool gave."""
        if result.status == "error":
            self._error = "ToolError"
        if self._span is not None and self._captures:
            self._span.set_attribute("gen_ai.tool.call.result", result.output)

    def failed(self, error: BaseException) -> None:
        """Note that the call raised; a cancellation is no failure of the tool."""
        if isinstance(error, Exception):
            self._error = type(error).__name__
        else:
            self._given_up = True

    def end(self, instruments: Instruments | None) -> None:
        """End the span and measure the call."""
        error = {ERROR_TYPE: self._error} if self._error else {}
        if self._span is not None:
            if self._error:
                from opentelemetry.trace import StatusCode  # noqa: PLC0415 - loaded already: there is a tracer

                self._span.set_status(StatusCode.ERROR)
            self._span.set_attributes({**error, **({GIVEN_UP: True} if self._given_up else {})})
            self._span.end()
        if instruments is not None:
            instruments.tool.record(perf_counter() - self._started, {**self._labels, **error})


def start_tool_span(call: ToolCall, tracer: Tracer, parent: Span, *, captures: bool) -> Span:
    """Start the span of a tool call below that of its run.

    Args:
        call: What the model wants.
        tracer: The application's.
        parent: The run's span. It is named, not taken from the context: tools run in tasks of their own.
        captures: The span may hold the arguments.
    """
    from opentelemetry.trace import set_span_in_context  # noqa: PLC0415 - loaded already: there is a tracer

    said: dict[str, Any] = {
        OPERATION: "execute_tool",
        TOOL_NAME: call.name,
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.id": call.call_id,
    }
    if captures:
        said["gen_ai.tool.call.arguments"] = (
            as_json(call.arguments) if call.arguments is not None else call.text
        )
    return tracer.start_span(
        f"execute_tool {call.name}", context=set_span_in_context(parent), attributes=said
    )
