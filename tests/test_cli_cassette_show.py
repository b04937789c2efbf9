from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from aquila.cassette.file.disk import write
from aquila.cassette.interaction import Failure, Interaction
from aquila.cli.cassette import app
from aquila.endpoint.scripted import chat_calls, chat_text
from aquila.errors import CassetteMissing
from aquila.multipart import FilePart, encode_form
from aquila.transport.base import Request
from tests.tapes import interaction, request
from tests.test_cassette_replay import save
from tests.test_cli import run

EMBEDDINGS = "https://api.example.test/v1/embeddings"


def show(*arguments: str | Path) -> list[str]:
    done = CliRunner().invoke(app, ["show", *map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output.splitlines()


def asked(prompt: str, *answer: bytes, times: range = range(100, 1000, 100), **fields: Any) -> Interaction:
    return interaction(request(prompt), chunks=list(zip(times, answer, strict=False)), **fields)


@pytest.fixture
def weather(tmp_path: Path) -> Path:
    """Two rounds: a call of a tool, and the answer to its result."""
    recorded_at = datetime.now(UTC) - timedelta(days=3, hours=1)  # noqa: TID251 - ages are told against today
    first = asked(
        "Warm?",
        *chat_calls([("call_a", "weather", {"city": "Porto"})]),
        model="tiny-1", seq=0, recorded_at=recorded_at, head_ms=50, total_ms=400,
        cost_usd=Decimal("0.0012"), usage={"input": 1, "output": 1, "cached": 0},
    )  # fmt: skip
    messages = [
        {"role": "user", "content": "Warm?"},
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "call_a", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
        ]},
        {"role": "tool", "tool_call_id": "call_a", "content": "21 C"},
    ]  # fmt: skip
    second = interaction(
        request(messages=messages), chunks=[(0, data) for data in chat_text(["Yes"], "stop")]
    )
    return save(tmp_path / "weather.yaml", first, second)


def test_a_cassette_is_shown_turn_by_turn(weather: Path) -> None:
    lines = show(weather)

    size = weather.stat().st_size / 1000
    assert lines[0] == f"{weather}: 2 interactions, 2 turns, 2 tokens, $0.0012, {size:.1f} kB, 3d old"
    assert lines[2] == "1  POST https://api.example.test/v1/chat/completions  200 OK"
    assert lines[3].startswith("   model tiny-1, seq 0, recorded ")
    assert lines[3].endswith(" UTC (3d ago), end complete")
    assert [line.split(maxsplit=2) for line in lines[4:7]] == [
        [">", "user", "Warm?"],
        ["<", "call", 'weather({"city":"Porto"})  (call_a)'],
        ["<", "end", "tool_calls, 1 tokens in, 1 tokens out, $0.0012"],
    ]
    assert lines[7].endswith("] head 50 ms, 4 chunks 100-400 ms, end 400 ms")
    assert [line.split(maxsplit=2) for line in lines[11:14]] == [
        ["=", "1", "item as in 1"],
        [">", "tool", "result  21 C  (call_a)"],
        ["<", "text", "Yes"],
    ]
    assert lines[15].split(maxsplit=1) == ["time", "not recorded"]


def test_one_interaction_can_be_shown_alone_and_whole(tmp_path: Path) -> None:
    long = "a long story " * 100
    path = save(tmp_path / "a.yaml", interaction(request("A")), interaction(request(long)))

    assert any("(1,300 characters; -n shows all of it)" in line for line in show(path))
    alone = show(path, "-n", "2")
    assert not any(line.startswith("1  ") for line in alone)
    assert any(line.strip().endswith(long.strip()) for line in alone)


def test_lines_of_a_text_stand_below_each_other(tmp_path: Path) -> None:
    path = save(tmp_path / "a.yaml", asked("one\ntwo", *chat_text(["x"], "stop")))

    lines = show(path)

    place = next(number for number, line in enumerate(lines) if line.endswith("one"))
    assert lines[place + 1] == " " * lines[place].index("one") + "two"


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (
            interaction(
                status=599,
                reason="",
                chunks=(),
                end="error",
                failure=Failure(error="ConnectionFailed", message="refused"),
            ),
            ["599", "end ConnectionFailed", "ConnectionFailed: refused"],
        ),
        (
            interaction(status=429, reason="Too Many Requests", chunks=[(1, b'{"error": {"message": "slow down"}}')]),
            ["429 Too Many Requests", "slow down"],
        ),
        (asked("A", chat_text(["Hel"], "stop")[0], end="cut"), ["Hel", "end cut", "its reader closed the stream"]),
        (asked("A", b"<html>Sorry</html>"), ["<html>Sorry</html>", "an HTML or XML page"]),
        (asked("A", b"data: {nonsense\n\n"), ["data: {nonsense", "no chat completion chunk"]),
        (
            interaction(Request(method="GET", url="https://x.test/v1/models"), chunks=[(1, b'{"data": []}')]),
            ["GET https://x.test/v1/models", '{"data": []}'],
        ),
        (
            interaction(Request(method="POST", url=EMBEDDINGS, body=b"\xff\x00"), chunks=[(1, b"\xfe\xff\xff")]),
            ["2 bytes of application/json", "3 bytes of text/event-stream"],
        ),
        (
            interaction(Request(method="POST", url=EMBEDDINGS), chunks=(), end="error",
                        failure=Failure(error="IdleTimeout", message="", seconds=3.0)),
            ["IdleTimeout"],
        ),
    ],
)  # fmt: skip
def test_failures_and_other_traffic_are_shown_too(
    tmp_path: Path, item: Interaction, words: list[str]
) -> None:
    text = "\n".join(show(save(tmp_path / "a.yaml", item)))

    assert [word for word in words if word not in text] == []


def test_a_form_is_shown_by_its_fields(tmp_path: Path) -> None:
    sound = FilePart(name="file", filename="sea.wav", media_type="audio/wav", data=b"\x00\xff")
    body, kind = encode_form([("model", "whisper-1")], sound)
    sent = Request(
        method="POST",
        url="https://x.test/v1/audio/transcriptions",
        headers={"content-type": kind},
        body=body,
    )
    item = replace(interaction(sent, chunks=[(1, b'{"text": "Sea."}')]), request=sent)

    text = "\n".join(show(save(tmp_path / "a.yaml", item)))

    assert "model=whisper-1, file=sea.wav (2 bytes)" in text
    assert "text         Sea." in text


def test_nothing_recorded_can_move_the_cursor_or_colour_the_terminal(tmp_path: Path) -> None:
    evil = "\x1b[2J\x9b31m[red]x[/red]\x07"
    answer = [*chat_text([evil], "stop"), *chat_calls([("c" + evil, "f" + evil, {"a": evil})])]
    path = save(
        tmp_path / "a.yaml",
        asked(evil, *answer, model=evil, source=evil, reason=evil),
        interaction(Request(method="GET", url=f"https://x.test/{evil}"), chunks=[(1, evil.encode())]),
    )

    for arguments in ([path], [path, "-n", "1"], [path, "--json"]):
        text = "\n".join(show(*arguments))
        assert not set(text) & {"\x1b", "\x9b", "\x07"}
    assert "[red]x[/red]" in "\n".join(show(path))


def test_json_holds_everything_uncut(weather: Path) -> None:
    document = json.loads("\n".join(show(weather, "--json")))

    first, second = document["interactions"]
    assert (document["turns"], document["tokens"]) == (2, 2)
    assert Decimal(document["cost_usd"]) == Decimal("0.0012")
    assert first["new"] == [{"role": "user", "text": "Warm?", "call_id": None}]
    assert first["answer"]["tool_calls"][0]["arguments"] == {"city": "Porto"}
    assert first["timing"] == {
        "head_ms": 50, "first_chunk_ms": 100, "last_chunk_ms": 400, "total_ms": 400, "chunks": 4,
    }  # fmt: skip
    assert (second["number"], second["after"], second["answer"]["text"]) == (2, 1, "Yes")
    assert len(json.loads("\n".join(show(weather, "--json", "-n", "2")))["interactions"]) == 1


def test_an_edited_body_says_that_its_times_hold_no_more(tmp_path: Path) -> None:
    path = save(tmp_path / "a.yaml", asked("A", *chat_text(["Hi"], "stop"), total_ms=900))
    write(path, path.read_text().replace("Hi", "Ho"))

    text = "\n".join(show(path))

    assert "edited by hand" in text
    assert "its times hold no more" in text


def test_an_unknown_name_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CassetteMissing):
        show(tmp_path / "nothing.yaml")


def test_a_reader_that_goes_away_is_no_error(weather: Path) -> None:
    result = run("cassette", "show", str(weather), PYTHONUNBUFFERED="1", COLUMNS="80")
    assert result.returncode == 0

    closed = run_into_closed_pipe("cassette", "show", str(weather))

    assert closed == ""


def run_into_closed_pipe(*arguments: str) -> str:
    """Run the command with nobody at the other end of its output; give what it says on stderr."""
    read, write_end = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "aquila.cli", *arguments],
            stdout=write_end, stderr=subprocess.PIPE, text=True, timeout=50, check=False,
        )  # fmt: skip
    finally:
        os.close(write_end)
    return done.stderr


def test_a_terminal_that_cannot_show_a_character_shows_a_question_mark(tmp_path: Path) -> None:
    path = save(tmp_path / "a.yaml", asked("A", *chat_text(["21 °C 🦅"], "stop")))

    result = run("cassette", "show", str(path), PYTHONIOENCODING="ascii")

    assert (result.returncode, result.stderr) == (0, "")
    assert "21 ?C ?" in result.stdout
