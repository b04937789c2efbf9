from __future__ import annotations

import io
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from aquila.cassette.interaction import Failure, Interaction
from aquila.cassette.story.conversation import conversation
from aquila.cli.cassette import app
from aquila.cli.cassette_play import Cue, Stage, cues, perform
from aquila.cli.untrusted_text import Paper
from aquila.endpoint.scripted import chat_calls, chat_text
from aquila.transport.base import Request
from tests.tapes import interaction, request
from tests.test_cassette_replay import save
from tests.test_cli_cassette_show import run_into_closed_pipe


def play(*arguments: str | Path) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["play", *map(str, arguments), "--speed", "0"], catch_exceptions=False)
    return done.exit_code, done.stdout, done.stderr


def asked(prompt: str, *answer: bytes, **fields: Any) -> Interaction:
    timed = [(100 * number, data) for number, data in enumerate(answer, start=1)]
    return interaction(request(prompt), chunks=timed, total_ms=100 * len(answer) + 50, **fields)


class Time:
    """A clock that sleeping moves, and that each writing makes late."""

    def __init__(self, late: float = 0.0) -> None:
        self.now = 50.0
        self.late = late

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.mark.parametrize(
    ("speed", "times"), [(1.0, [0.1, 0.3, 0.9]), (2.0, [0.05, 0.15, 0.45]), (0.0, [0, 0, 0])]
)
def test_each_cue_is_written_when_it_is_due(speed: float, times: list[float]) -> None:
    time, written = Time(), []

    perform(
        [Cue(at, "text", "x") for at in (100, 300, 900)],
        speed,
        lambda _: written.append(time.now - 50),
        clock=time.clock,
        sleep=time.sleep,
    )

    assert written == pytest.approx(times)


def test_a_late_cue_delays_no_other() -> None:
    time, written = Time(), []

    def write(cue: Cue) -> None:
        written.append(time.now - 50)
        time.now += 0.15

    perform([Cue(at, "text", "x") for at in (100, 200, 600)], 1.0, write, clock=time.clock, sleep=time.sleep)

    assert written == pytest.approx([0.1, 0.25, 0.6])


def test_cues_have_the_times_of_the_recording_one_interaction_after_the_other() -> None:
    turns = conversation(
        [asked("A", *chat_text(["He", "llo"], "stop")), asked("B", *chat_text(["Ho"], "stop"))]
    )

    assert [(cue.at_ms, cue.text) for cue in cues(turns) if cue.part == "text"] == [
        (100, "He"), (200, "llo"), (650, "Ho"),
    ]  # fmt: skip


def test_text_reasoning_and_calls_stand_in_lines_of_their_own(tmp_path: Path) -> None:
    answer = [
        *chat_text(["<think>", "hm", "</think>", "It is ", "warm."], "tool_calls")[:5],
        *chat_calls([("call_a", "weather", {"city": "Porto"})]),
    ]
    path = save(tmp_path / "a.yaml", asked("A", *answer))

    assert play(path) == (0, 'hm\nIt is warm.\n-> weather({"city":"Porto"})\n', "")


def test_reasoning_is_dim_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    stage = Stage(Paper(Console(force_terminal=True, color_system="standard", no_color=False)))

    stage.write(Cue(0, "reasoning", "hm"))
    stage.write(Cue(0, "text", "Hi"))
    stage.end()

    assert capsys.readouterr().out == "\x1b[2mhm\x1b[0m\nHi\n"


def test_several_interactions_are_played_in_order_and_one_alone(tmp_path: Path) -> None:
    path = save(
        tmp_path / "a.yaml",
        asked("A", *chat_text(["One"], "stop")),
        interaction(Request(method="GET", url="https://x.test/v1/models"), chunks=[(1, b'{"data": []}')]),
    )

    assert play(path)[1].splitlines() == [
        "-- 1: POST https://api.example.test/v1/chat/completions",
        "One",
        "-- 2: GET https://x.test/v1/models",
        '{"data": []}',
    ]
    assert play(path, "-n", "1")[1] == "One\n"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"end": "cut"}, "its reader closed the stream"),
        (
            {"end": "error", "failure": Failure(error="ConnectionFailed", message="reset by peer")},
            "reset by peer",
        ),
    ],
)
def test_a_recording_that_broke_off_fails_with_its_words(
    tmp_path: Path, fields: dict[str, Any], words: str
) -> None:
    path = save(tmp_path / "a.yaml", asked("A", chat_text(["Hel"], "stop")[0], **fields))

    code, out, told = play(path)

    assert (code, out) == (1, "Hel\n")
    assert told.startswith("aquila: interaction 1: ")
    assert words in told


def test_a_failure_in_place_of_other_traffic_is_told(tmp_path: Path) -> None:
    failure = Failure(error="ConnectionFailed", message="refused")
    sent = Request(method="POST", url="https://x.test/v1/embeddings")
    path = save(tmp_path / "a.yaml", interaction(sent, status=599, chunks=(), end="error", failure=failure))

    assert play(path) == (1, "", "aquila: interaction 1: ConnectionFailed: refused\n")


def test_a_model_cannot_move_the_cursor(tmp_path: Path) -> None:
    evil = "\x1b[2J\x9b31m"
    path = save(
        tmp_path / "a.yaml", asked("A", *chat_text([evil], "stop")), asked("B", evil.encode(), status=500)
    )

    _, out, told = play(path)

    assert "␛[2J" in out
    assert not set(out + told) & {"\x1b", "\x9b"}


def test_a_negative_speed_is_a_wrong_command_line(tmp_path: Path) -> None:
    assert CliRunner().invoke(app, ["play", "x", "--speed", "-1"]).exit_code == 2


def test_ctrl_c_ends_it_cleanly(tmp_path: Path) -> None:
    answer = chat_text(["Hel", "lo"], "stop")
    chunks = [(0, answer[0]), (60_000, answer[1])]
    path = save(tmp_path / "a.yaml", interaction(request("A"), chunks=chunks, total_ms=60_000))
    with subprocess.Popen(
        [sys.executable, "-m", "aquila.cli", "cassette", "play", str(path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        # The first token is there at once, although nothing follows it for a minute.
        assert process.stdout.read(3) == b"Hel"
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        out, told = process.communicate(timeout=30)

    assert (process.returncode, out, told) == (130, b"\n", b"")


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    path = save(tmp_path / "a.yaml", asked("A", *chat_text(["Hel"] * 50, "stop")))

    assert run_into_closed_pipe("cassette", "play", str(path), "--speed", "0") == ""


def test_no_speed_is_too_small_for_the_clock() -> None:
    waits: list[float] = []

    perform([Cue(5, "text", "a")], 1e-320, lambda _: None, clock=lambda: 0.0, sleep=waits.append)

    assert waits == [1_000_000.0]


def test_without_colours_many_pieces_are_written_as_they_are() -> None:
    file = io.StringIO()
    paper = Paper(Console(file=file, color_system=None))

    for piece in ("a[b]", "\x1b[2J", "c" * 300, "\n"):
        paper.write(piece, "dim")

    assert file.getvalue() == f"a[b]␛[2J{'c' * 300}\n"
