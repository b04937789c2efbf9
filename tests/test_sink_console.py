from __future__ import annotations

import io
import os
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

import aquila
from aquila.events import (
    Chunk,
    Done,
    Event,
    Failed,
    ReasoningChunk,
    Resumed,
    Retrying,
    Status,
    ToolCall,
    ToolResult,
)
from aquila.response import Response, Usage
from aquila.sink import console
from aquila.sink.printable import one_line, printable
from aquila.testing import Answer, ScriptedTransport
from tests import wire

END = Done(Response())
STYLE = re.compile(r"\x1b\[[0-9;]*m")


async def shown(
    *events: Event, terminal: bool = False, reasoning: bool = True, tools: bool = True, stats: bool = False
) -> str:
    out = io.StringIO()
    color = "standard" if terminal else None
    to = Console(file=out, force_terminal=terminal, color_system=color, width=40)  # type: ignore[arg-type]
    sink = console(to=to, reasoning=reasoning, tools=tools, stats=stats)
    for event in events:
        await sink.emit(event)
    await sink.aclose()
    await sink.aclose()
    return out.getvalue()


async def test_the_answer_is_printed_as_it_comes_on_standard_output(
    capsys: pytest.CaptureFixture[str],
) -> None:
    transport = ScriptedTransport(Answer(chunks=wire.answer("Hello ", "world")))

    await aquila.stream("hi", transport=transport, sink=console())

    assert capsys.readouterr().out == "Hello world\n"


async def test_long_lines_brackets_and_colons_come_through_as_they_are() -> None:
    text = "[bold]not markup[/bold] :smile: http://x.test/" + "w" * 100 + "\n\n  indented\tand tabbed"

    assert await shown(Chunk(text), END) == text + "\n"


async def test_reasoning_is_dimmed_and_on_lines_of_its_own() -> None:
    events = [ReasoningChunk("think"), ReasoningChunk("ing"), Chunk("answer"), END]

    printed = await shown(*events, terminal=True)

    assert STYLE.sub("", printed) == "thinking\nanswer\n"
    assert "\x1b[2mthink\x1b[0m" in printed
    assert await shown(*events, reasoning=False) == "answer\n"


async def test_a_tool_call_and_its_result_are_one_line_each() -> None:
    events = [
        Chunk("Let me see."),
        ToolCall("1", "weather", {"city": "Oslo"}, '{"city":\n "Oslo"}'),
        ToolResult("1", "weather", "line\n" * 1000, "ok"),
        Chunk("Rain."),
        END,
    ]

    lines = (await shown(*events)).splitlines()

    assert lines[:2] == ["Let me see.", '→ weather {"city": "Oslo"}']
    assert lines[2].startswith("← weather line line")
    assert lines[2].endswith("…")
    assert len(lines[2]) == 200
    assert lines[3:] == ["Rain."]
    assert await shown(*events, tools=False) == "Let me see.Rain.\n"


async def test_a_retry_a_loss_a_refusal_and_a_failure_are_said() -> None:
    printed = await shown(
        Retrying(2, 0.5, aquila.ConnectionFailed("no route")),
        Status("refusal", {"text": "I will not."}),
        Resumed("resp_1", 7),
        Failed(aquila.StreamTruncated("it broke off")),
    )

    assert printed.splitlines() == [
        "retrying in 0.5 s (attempt 2): no route",
        "I will not.",
        "the connection was lost; going on where it broke",
        "StreamTruncated: it broke off",
    ]


async def test_stats_end_with_the_reason_the_tokens_and_the_seconds() -> None:
    usage = Usage(input_tokens=1200, output_tokens=2)
    response = Response(finish_reason="stop", usage=usage, elapsed=1.25)

    assert await shown(Chunk("x"), Done(response), stats=True) == (
        "x\nstop · 1,200 tokens in · 2 tokens out · 1.2 s\n"
    )
    assert await shown(Chunk("x"), END, stats=True) == "x\ncompleted\n"


async def test_a_cut_answer_is_said_to_be_cut() -> None:
    response = Response(status="incomplete", finish_reason="length")

    assert await shown(Chunk("x"), Done(response)) == "x\n(the answer was cut: length)\n"


async def test_no_escape_sequence_of_others_reaches_the_terminal_even_in_pieces() -> None:
    evil = "\x1b]0;title\x07\x1b[2J\x9b31m\x08\x7f"

    printed = await shown(
        Chunk("\x1b"),
        Chunk("[31mred"),
        ReasoningChunk(evil),
        ToolCall("1", evil, None, evil),
        ToolResult("1", evil, evil, "error"),
        Failed(aquila.AquilaError(evil)),
        terminal=True,
    )

    assert not [char for char in STYLE.sub("", printed) if ord(char) < 32 and char != "\n"]
    assert not [char for char in printed if 0x7F <= ord(char) < 0xA0]
    assert "␛[31mred" in STYLE.sub("", printed)


async def test_a_line_end_of_two_characters_may_come_in_two_fragments() -> None:
    assert await shown(Chunk("a\r"), Chunk("\nb"), END) == "a\nb\n"


async def test_what_the_terminal_s_encoding_lacks_becomes_a_question_mark() -> None:
    raw = io.BytesIO()
    sink = console(to=Console(file=io.TextIOWrapper(raw, encoding="ascii"), color_system=None))

    await sink.emit(Chunk("naïve ✓ \ud800"))
    await sink.emit(ToolCall("1", "f", {}))

    assert raw.getvalue() == b"na?ve ? ?\n? f {}\n"


@given(st.text(), st.integers(2, 20))
def test_printable_text_has_no_control_characters_and_one_line_is_one_short_line(
    text: str, limit: int
) -> None:
    assert not [
        char
        for char in printable(text)
        if (ord(char) < 32 or 0x7F <= ord(char) < 0xA0) and char not in "\n\t"
    ]
    assert len(one_line(text, limit)) <= limit
    assert len(one_line(text, limit).splitlines()) <= 1


def test_a_text_that_turns_itself_around_is_seen_through() -> None:
    turned = "a\u202eb\u2066c\u2069d\u2028e\u202c"

    assert printable(turned) == "a<U+202E>b<U+2066>c<U+2069>d<U+2028>e<U+202C>"
    assert one_line(turned, 80) == printable(turned)


def test_marks_that_texts_from_right_to_left_need_stay() -> None:
    assert printable("שלום\u200f (a)\u200e 👨\u200d👩") == "שלום\u200f (a)\u200e 👨\u200d👩"


def test_a_reader_of_the_output_that_goes_does_not_end_the_process() -> None:
    script = (
        "import anyio, sys, aquila\n"
        "from aquila.events import Chunk\n"
        "async def main():\n"
        "    sink = aquila.sink.console()\n"
        "    sys.stdin.readline()\n"
        "    try: await sink.emit(Chunk('a'))\n"
        "    except BrokenPipeError as error: print(error, file=sys.stderr)\n"
        "    await sink.emit(Chunk('b'))\n"
        "    print('still here', file=sys.stderr, flush=True)\n"
        "    import os; os._exit(0)\n"
        "anyio.run(main)\n"
    )
    read, write = os.pipe()
    child = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=write, stderr=subprocess.PIPE, text=True
    )
    os.close(write)
    os.close(read)

    _, said = child.communicate("\n", timeout=30)

    assert said.splitlines() == ["whoever read the output has gone; nothing more is printed", "still here"]


def test_rich_is_loaded_with_the_first_console_and_not_before() -> None:
    script = (
        "import sys, aquila; aquila.sink.callback\n"
        "assert 'rich' not in sys.modules\n"
        "aquila.sink.console()\n"
        "assert 'rich.console' in sys.modules\n"
        "assert callable(aquila.sink.console)\n"
    )

    subprocess.run([sys.executable, "-c", script], check=True, timeout=30)
