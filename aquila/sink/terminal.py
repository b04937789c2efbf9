"""`console`: the answer on a terminal while it comes."""

from __future__ import annotations

from rich.console import Console
from rich.segment import Segment, Segments

from aquila.events import Chunk, Done, Event, Failed, ReasoningChunk, Resumed, Retrying, Status
from aquila.response import Response
from aquila.sink.printable import one_line, printable
from aquila.tool_call import ToolCall, ToolResult

#: The longest line for a tool call, a tool result or an error.
_LINE = 200


class ConsoleSink:
    """Prints what happens; made by `console`."""

    def __init__(self, out: Console, *, reasoning: bool, tools: bool, stats: bool) -> None:
        self._out = out
        self._reasoning = reasoning
        self._tools = tools
        self._stats = stats
        #: What the present line is part of; empty at the start of a line.
        self._part = ""

    async def emit(self, event: Event) -> None:
        """Print one event. Like `print`, it runs on the event loop."""
        match event:
            case Chunk(text=text):
                self._write("text", text)
            case ReasoningChunk(text=text):
                if self._reasoning:
                    self._write("reasoning", text, style="dim")
            case ToolCall() | ToolResult():
                if self._tools:
                    self._show_tool(event)
            case _:
                self._show_news(event)

    async def aclose(self) -> None:
        """End the line."""
        self._break()

    def _show_tool(self, event: ToolCall | ToolResult) -> None:
        match event:
            case ToolCall(name=name, text=text):
                self._line(f"→ {name} {text}", style="cyan")
            case ToolResult(name=name, output=output, status=status):
                self._line(f"← {name} {output}", style="red" if status == "error" else "green")

    def _show_news(self, event: Event) -> None:
        match event:
            case Status(name="refusal", data=data):
                self._write("text", str(data.get("text", "")))
            case Retrying(attempt=attempt, delay=delay, error=error):
                self._line(f"retrying in {delay:.1f} s (attempt {attempt}): {error}", style="yellow")
            case Resumed():
                self._line("the connection was lost; going on where it broke", style="yellow")
            case Done(response=response):
                self._show_end(response)
            case Failed(error=error):
                self._line(f"{type(error).__name__}: {error}", style="red")

    def _show_end(self, response: Response) -> None:
        self._break()
        if response.status == "incomplete":
            self._line(f"(the answer was cut: {response.finish_reason})", style="yellow")
        if self._stats:
            self._line(_stats(response), style="dim")

    def _write(self, part: str, text: str, *, style: str | None = None) -> None:
        if not text:
            return
        if self._part != part:
            self._break()
        self._print(printable(text), style)
        self._part = "" if text.endswith("\n") else part

    def _line(self, text: str, *, style: str) -> None:
        self._break()
        self._print(one_line(text, _LINE) + "\n", style)

    def _break(self) -> None:
        if self._part:
            self._part = ""
            self._print("\n", None)

    def _print(self, text: str, style: str | None) -> None:
        # A terminal that cannot show a character shows a question mark, which is better than no answer.
        encoding = self._out.encoding
        shown = text.encode(encoding, "replace").decode(encoding, "replace")
        # A segment is printed as it is: not wrapped, its tabs kept, its brackets no markup.
        segment = Segment(shown, self._out.get_style(style) if style else None)
        self._out.print(Segments([segment]), crop=False, end="")


class _Terminal(Console):
    """Ends quietly when its reader has gone; rich's own way is to end the process."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        raise BrokenPipeError("whoever read the output has gone; nothing more is printed")


def _stats(response: Response) -> str:
    facts = [response.finish_reason or response.status]
    usage = response.usage
    if usage is not None:
        counts = [
            (usage.input_tokens, "in"),
            (usage.output_tokens, "out"),
            (usage.reasoning_tokens, "reasoning"),
        ]
        facts += [f"{count:,} tokens {name}" for count, name in counts if count is not None]
    if response.elapsed is not None:
        facts.append(f"{response.elapsed:.1f} s")
    return " · ".join(facts)


def console(
    *, reasoning: bool = True, tools: bool = True, stats: bool = False, to: Console | None = None
) -> ConsoleSink:
    """Make a sink that prints the answer while it comes, in colour on a terminal and plain into a pipe or a file.

    Control characters in what the model, a tool or the provider wrote are shown as pictures, never sent to the terminal,
    and brackets are no markup.

    Args:
        reasoning: Show the model's reasoning, dimmed.
        tools: Show each tool call and each result as one line.
        stats: End with the finish reason, the tokens and the seconds.
        to: A `rich.console.Console` to print with. None prints on standard output.
    """
    return ConsoleSink(to or _Terminal(), reasoning=reasoning, tools=tools, stats=stats)
