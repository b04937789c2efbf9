"""`aquila cassette play`: recorded answers on the terminal, in the cadence they came in."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, NamedTuple

import typer

from aquila.cassette.story.answer_events import Moment, Told
from aquila.cassette.story.conversation import Turn, conversation
from aquila.cassette.story.excerpt import excerpt
from aquila.cli.cassette_find import NameArgument, NumberOption, check_number, read_cassette
from aquila.cli.cassette_turn import request_line
from aquila.cli.untrusted_text import Paper
from aquila.events import Chunk, Event, ReasoningChunk, Status
from aquila.sink.printable import one_line
from aquila.tool_call import ToolCall

HELP = """Play a cassette: the answers are written as they came, with reasoning dimmed and tool calls as one line each.

The exit code is 1 if an answer ended in an error or was cut, and 130 after Ctrl-C.

Example: aquila cassette play jobs/explain --speed 4"""

_LONGEST_CALL = 500
_LONGEST_PROBLEM = 1000
_MS = 1000
#: Seconds. No clock takes any number, and a speed may be as small as one likes.
_LONGEST_WAIT = 1_000_000.0


class Cue(NamedTuple):
    """What to write, and when: milliseconds since the beginning."""

    at_ms: int
    #: What the text is part of; a change of it begins a new line. `line` and `problem` stand alone.
    part: str
    text: str


def play(
    name: NameArgument,
    number: NumberOption = None,
    speed: Annotated[
        float,
        typer.Option("--speed", min=0.0, help="1 is the recorded time, 4 four times as fast, 0 at once."),
    ] = 1.0,
) -> None:
    """Play the answers of a cassette.

    Raises:
        CassetteError: There is no such cassette, or it is broken.
        ConfigError: It holds no such interaction.
        Exit: With 1, if an answer ended in an error; with 130 after Ctrl-C.
    """
    found = read_cassette(name)
    check_number(number, found.interactions)
    turns = [turn for turn in conversation(found.interactions) if number in {None, turn.number}]
    stage = Stage(Paper())
    try:
        perform(cues(turns), speed, stage.write)
        stage.end()
    except KeyboardInterrupt:
        stage.end()
        raise typer.Exit(130) from None
    failed = [(turn.number, turn.problem) for turn in turns if turn.problem is not None]
    for place, problem in failed:
        typer.echo(f"aquila: interaction {place}: {one_line(problem, _LONGEST_PROBLEM)}", err=True)
    if failed:
        raise typer.Exit(1)


def perform(
    todo: Iterable[Cue],
    speed: float,
    write: Callable[[Cue], None],
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> None:
    """Write each cue when it is due, on one absolute schedule: one that is late delays no other.

    Args:
        todo: In the order of their times.
        speed: 0 waits for nothing, 1 is the recorded time, n is n times as fast.
        write: Takes a cue.
        clock: Seconds.
        sleep: Waits for seconds.
    """
    start = clock()
    for cue in todo:
        wait = start + cue.at_ms / _MS / speed - clock() if speed else 0.0
        if wait > 0:
            sleep(min(wait, _LONGEST_WAIT))
        write(cue)


def cues(turns: Iterable[Turn]) -> Iterator[Cue]:
    """Say what to write of some turns, one after the other; what was not recorded between them takes no time.

    Yields:
        Cues in the order of their times.
    """
    listed = list(turns)
    start = 0
    for turn in listed:
        if len(listed) > 1:
            yield Cue(start, "line", f"-- {turn.number}: {request_line(turn.interaction)}")
        for cue in _answer(turn):
            yield cue._replace(at_ms=start + cue.at_ms)
        end = turn.interaction.total_ms
        yield Cue(start + end, "end", "")
        start += end


def _answer(turn: Turn) -> Iterator[Cue]:
    interaction, told = turn.interaction, turn.told
    if told is None or not told.moments:
        if interaction.body:
            yield Cue(interaction.head_ms, "line", excerpt(interaction.body, interaction.headers))
        return
    for at_ms, event in told.moments:
        part, text = _shown(event)
        if text:
            yield Cue(at_ms, part, text)
    yield from _unfinished(told.moments[-1], told)


def _unfinished(last: Moment, told: Told) -> Iterator[Cue]:
    for call in told.calls[len(told.response.tool_calls) :]:
        yield Cue(last.at_ms, "call", _call(call))


def _shown(event: Event) -> tuple[str, str]:
    match event:
        case Chunk(text=text):
            return "text", text
        case ReasoningChunk(text=text):
            return "reasoning", text
        case Status(name="refusal", data=data) | Status(name="commentary", data=data):
            return "aside", str(data.get("text", ""))
        case ToolCall():
            return "call", _call(event)
        case _:
            return "", ""


def _call(call: ToolCall) -> str:
    return f"-> {one_line(f'{call.name}({call.text})', _LONGEST_CALL)}"


class Stage:
    """Writes cues to the terminal, each at once, and keeps its lines apart."""

    _STYLES = {"reasoning": "dim", "line": "dim", "call": "cyan", "aside": "yellow"}  # noqa: RUF012 - never changed

    def __init__(self, paper: Paper) -> None:
        self._paper = paper
        #: What the present line is part of; empty at the start of a line.
        self._part = ""

    def write(self, cue: Cue) -> None:
        """Write one cue."""
        alone = cue.part in {"line", "call", "end"}
        if self._part and (alone or cue.part != self._part):
            self._paper.line()
            self._part = ""
        if not cue.text:
            return
        text = f"{cue.text}\n" if alone else cue.text
        self._paper.write(text, self._STYLES.get(cue.part))
        self._part = "" if text.endswith("\n") else cue.part

    def end(self) -> None:
        """End the line."""
        if self._part:
            self._part = ""
            self._paper.line()
